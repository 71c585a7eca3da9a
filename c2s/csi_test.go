package c2s

import (
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

func packet(st *stanza.Stanza) *modules.Packet { return modules.NewPacket(st) }

func presence(from, to, payload string) *stanza.Stanza {
	return stanza.New(stanza.KindPresence, stanza.TypeNone, "", jid(from), jid(to), []byte(payload))
}

func chatState(from, to, state string) *stanza.Stanza {
	return stanza.New(stanza.KindMessage, stanza.TypeChat, "", jid(from), jid(to), []byte("<"+state+" xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/>"))
}

// TestClientState: XEP-0352.
func TestClientState(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.client("alice", "x")
	s := r.router.Session(jid("alice@a.test/x"))
	route := func(st *stanza.Stanza) { r.router.Route(r.srv.ctx, packet(st)) }
	sleep := func() {
		p.send("<inactive xmlns='urn:xmpp:csi:0'/>")
		for !s.Info().Inactive {
		}
	}
	sleep()
	for i := range 3 {
		route(presence("bob@a.test/y", "alice@a.test/x", fmt.Sprintf("<status>%d</status>", i)))
		route(presence("bob@a.test/z", "alice@a.test/x", ""))
		route(chatState("bob@a.test/y", "alice@a.test/x", "composing"))
	}
	route(chatState("bob@a.test/y", "alice@a.test/x", "active"))
	// XEP-0352 §5.1: what was held comes before the answer.
	p.send("<active xmlns='urn:xmpp:csi:0'/>")
	p.talk(`
		S: <presence from='bob@a.test/y' to='alice@a.test/x'><status>2</status></presence>
		S: <presence from='bob@a.test/z' *
		S: <message *<active *`)
	p.quiet()

	// Something important takes along what was held, in order.
	sleep()
	route(presence("bob@a.test/y", "alice@a.test/x", ""))
	route(message("bob@a.test/y", "alice@a.test/x", "wake up"))
	p.want("<presence *")
	p.want("<message *wake up*")
	route(presence("bob@a.test/y", "alice@a.test/x", ""))
	p.quiet2("<presence *bob@a.test/y*")

	// Each sort that must not wait.
	for _, st := range []*stanza.Stanza{
		stanza.New(stanza.KindPresence, stanza.TypeSubscribe, "", jid("bob@a.test"), jid("alice@a.test/x"), nil),
		stanza.New(stanza.KindMessage, stanza.TypeError, "", jid("bob@a.test"), jid("alice@a.test/x"), nil),
		stanza.New(stanza.KindMessage, stanza.TypeChat, "", jid("bob@a.test"), jid("alice@a.test/x"), []byte("<received xmlns='urn:xmpp:receipts' id='1'/>")),
		stanza.New(stanza.KindMessage, stanza.TypeChat, "", jid("bob@a.test"), jid("alice@a.test/x"), nil),
		stanza.New(stanza.KindIQ, stanza.TypeResult, "1", jid("bob@a.test"), jid("alice@a.test/x"), nil),
	} {
		if unimportant(st) {
			t.Errorf("%s is held", st)
		}
	}
}

// quiet2 is quiet with something held that goes out before the answer.
func (p *peer) quiet2(held string) {
	p.t.Helper()
	p.send("<iq type='get' id='quiet' to='a.test'><x xmlns='urn:test'/></iq>")
	p.want(held)
	p.want("<iq type='result' id='quiet' *")
}

// Copies of chat states wait, those of messages do not, nor what only looks like a copy.
func TestHeldCopies(t *testing.T) {
	copyOf := func(from, kind, inner, payload string) *stanza.Stanza {
		return stanza.New(stanza.KindMessage, stanza.TypeChat, "", jid(from), jid("alice@a.test/x"), []byte("<"+kind+" xmlns='urn:xmpp:carbons:2'>"+
			"<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' "+inner+">"+payload+"</message></forwarded></"+kind+">"))
	}
	const state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
	q := &csi{}
	for _, tt := range []struct {
		st   *stanza.Stanza
		held int // then; -1: it is not
	}{
		{copyOf("alice@a.test", "received", "from='bob@a.test/y' to='alice@a.test/y'", state), 1},
		{copyOf("alice@a.test", "received", "from='bob@a.test/y' to='alice@a.test/y'", state+"<thread>t</thread><store xmlns='urn:xmpp:hints'/>"), 1},
		{copyOf("alice@a.test", "received", "from='carol@a.test/y' to='alice@a.test/y'", state), 2},
		{copyOf("alice@a.test", "sent", "from='alice@a.test/y' to='bob@a.test/y'", state), 3},
		{copyOf("alice@a.test", "sent", "from='alice@a.test/y' to='carol@a.test/y'", state), 4},
		{copyOf("alice@a.test", "received", "from='bob@a.test/y' to='alice@a.test/y'", state+"<body>x</body>"), -1},
		{copyOf("alice@a.test", "received", "from='bob@a.test/y' to='alice@a.test/y'", ""), -1},
		{copyOf("mallory@a.test", "received", "from='bob@a.test/y' to='alice@a.test/y'", state), -1},
		{copyOf("alice@a.test/y", "received", "from='bob@a.test/y' to='alice@a.test/y'", state), -1},
		{stanza.New(stanza.KindMessage, stanza.TypeChat, "", jid("alice@a.test"), jid("alice@a.test/x"), []byte("<sent xmlns='urn:xmpp:carbons:2'/>")), -1},
	} {
		if held := q.hold(tt.st); held != (tt.held > 0) || held && len(q.held) != tt.held {
			t.Errorf("%s: held %v, %d are", tt.st.AppendTo(nil), held, len(q.held))
		}
	}
}

func TestHeldIsBounded(t *testing.T) {
	q := &csi{}
	for i := range maxHeld {
		if !q.hold(presence(fmt.Sprintf("u%d@a.test", i), "alice@a.test/x", "")) {
			t.Fatal("not held")
		}
	}
	if q.hold(presence("one@more.test", "alice@a.test/x", "")) || !q.hold(presence("u0@a.test", "alice@a.test/x", "")) {
		t.Error("no bound, or too strict a one")
	}
}
