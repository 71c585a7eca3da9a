package c2s

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/fast"
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
		c := &client{srv: s.srv, policy: s.srv.policy.Load(), sc: s.client.sc, login: s.login}
		stream.WithBatch(s.srv.ctx, &c.batch)
		s.mu.Lock()
		s.client = c
		s.mu.Unlock()
		s.handle(c, st)
		c.batch.Flush()
	})
}

// FuzzSASL2: whatever a client sends to log in, and whatever it asks for with its login, nothing panics, and nobody is let
// in but who shows the password.
func FuzzSASL2(f *testing.F) {
	for _, s := range []string{
		authenticate("alice", agent+bindApp), authenticate("alice", "<resume xmlns='urn:xmpp:sm:3' previd='x' h='-1'/>"),
		authenticate("alice", "<bind xmlns='urn:xmpp:bind:0'><tag>\n/</tag><inactive xmlns='urn:xmpp:csi:0'/></bind>"),
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><initial-response>" + b64("n,,n=alice,r=x") + "</initial-response></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-NONE'><fast xmlns='urn:xmpp:fast:0' count='1'/></authenticate>",
		"<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response><a/></initial-response><user-agent id=''/></authenticate>",
		"<response xmlns='urn:xmpp:sasl:2'>=</response>", "<abort xmlns='urn:xmpp:sasl:2'/>", "<next xmlns='urn:xmpp:sasl:2' task='x'/>",
		"<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'/></task-data>",
	} {
		f.Add(s)
	}
	r := newRig(f, "[limits]\nprofile='off'\n", fast.Info)
	secret := b64("\x00alice\x00" + password)
	f.Fuzz(func(t *testing.T, raw string) {
		st, err := stanza.Parse([]byte(raw))
		if err != nil || st.NS != nsSASL2 {
			return
		}
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs)
		c := r.srv.newClient(ours, netip.Addr{}, r.srv.policy.Load(), false)
		defer c.sc.Abort()
		c.state = stream.Secure
		c.n.conn.Host, c.n.conn.TLS = "a.test", &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true}
		c.n.conn.Mechanisms = []string{"SCRAM-SHA-1", "PLAIN"}
		for range 2 {
			if c.n == nil || c.negotiate(st) != nil {
				break
			}
		}
		if c.state&stream.Authenticated != 0 && (c.ident.JID != jid("alice@a.test") || st.Root().ChildText("initial-response") != secret && st.Root().Text != secret) {
			t.Errorf("%q let %s in", raw, c.ident.JID)
		}
		if s := c.sess.Load(); s != nil {
			s.end(nil)
		}
	})
}
