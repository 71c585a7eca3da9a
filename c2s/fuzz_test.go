package c2s

import (
	"context"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// FuzzSASLData: whatever an element holds, it is data or a failure with a condition of RFC 6120 §6.5.
func FuzzSASLData(f *testing.F) {
	for _, s := range []string{"", "=", "AGEAYg==", "AGEAY", "A A=", "AA=\n=", "AB==", "====", "<a/>", "&#61;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		st, err := stanza.Parse([]byte("<auth xmlns='" + nsSASL + "'>" + text + "</auth>"))
		if err != nil {
			return
		}
		data, fail := saslData(st)
		if fail != nil && (data != nil || fail.Condition != "malformed-request" && fail.Condition != "incorrect-encoding") {
			t.Errorf("%q: %q %v", text, data, fail)
		}
		if fail == nil && len(data) > 0 && strings.ContainsAny(text, " \t\r\n<") {
			t.Errorf("%q is no base64 but gave %q", text, data)
		}
	})
}

// FuzzHandle: whatever a client with a resource sends, nothing panics, and what reaches another says who sent it.
func FuzzHandle(f *testing.F) {
	for _, s := range []string{
		"<message to='bob@a.test/x' from='admin@a.test'/>", "<message to='bob@a.test/x' xmlns='jabber:server'/>",
		"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "<iq type='get' id=''/>",
		"<presence><priority>999</priority></presence>", "<presence type='subscribe' to='bob@a.test/x'/>",
		"<r xmlns='urn:xmpp:sm:3'/>", "<a xmlns='urn:xmpp:sm:3' h='4294967295'/>", "<enable xmlns='urn:xmpp:sm:3' resume='1' max='-1'/>",
		"<resume xmlns='urn:xmpp:sm:3' previd='' h='0'/>", "<inactive xmlns='urn:xmpp:csi:0'/>", "<active xmlns='urn:xmpp:csi:0'/>",
		"<message to=''/>", "<message to='@' from=''/>", "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
	} {
		f.Add(s)
	}
	r := newRig(f, noTLS)
	alice, bob := r.client("alice", "x"), r.client("bob", "x")
	alice.quiet()
	bob.quiet()
	s := r.router.Session(jid("alice@a.test/x")).(*session)
	set(r.watch, &r.watch.outgoing, func(_ context.Context, p *modules.Packet) error {
		if p.From != s.jid || p.Stanza.From() != s.jid {
			f.Errorf("%q goes out from %s", p.Stanza.Raw, p.From)
		}
		return nil
	})
	f.Fuzz(func(t *testing.T, raw string) {
		st, err := stanza.Parse([]byte(raw))
		if err != nil {
			return
		}
		c := &client{srv: s.srv, policy: s.srv.policy.Load(), sc: s.client.sc, ident: s.ident}
		c.ctx = stream.WithBatch(s.srv.ctx, &c.batch)
		s.mu.Lock()
		s.client = c
		s.mu.Unlock()
		s.handle(c, st)
		c.batch.Flush()
	})
}
