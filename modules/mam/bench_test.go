package mam

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// taker is a session that takes all and keeps nothing.
type taker struct {
	modules.Session
	buf []byte
	n   int
}

func (s *taker) JID() stanza.JID { return stanza.MustJID("alice@a.test/x") }

func (s *taker) Send(_ context.Context, st *stanza.Stanza) error {
	s.buf = st.AppendTo(s.buf[:0])
	s.n++
	return nil
}

// BenchmarkQuery answers for the last 50 of 2,000 messages, in memory: all but the store and the client's stream.
func BenchmarkQuery(b *testing.B) {
	h, m := host(b, "")
	alice := h.Session("alice@a.test/x")
	for range 2000 {
		alice.Say(chat("bob@b.test", body(strings.Repeat("x", 200))))
	}
	h.Sent()
	st, err := stanza.Parse(fmt.Appendf(nil, "<iq type='set' id='q' from='alice@a.test/x' to='alice@a.test'><query xmlns='%s'>%s</query></iq>", ns, rsm("<max>50</max><before/>")))
	if err != nil {
		b.Fatal(err)
	}
	s := &taker{Session: alice}
	p := &modules.Packet{Stanza: st, From: st.From(), To: st.To(), Origin: s}
	b.ReportAllocs()
	for b.Loop() {
		s.n = 0
		if _, err := m.iq(b.Context(), &modules.IQ{Packet: p, Payload: st.Payload()}); err != nil || s.n != 50 {
			b.Fatal(s.n, err)
		}
	}
}
