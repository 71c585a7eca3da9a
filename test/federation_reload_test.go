package test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// peerStreams are the streams with other servers that `session list` shows, as "in b.test a.test EXTERNAL".
func peerStreams(t *testing.T, s *xtest.Server) (list []string) {
	t.Helper()
	out, errs, code := s.Run("", "session", "-json", "list")
	if code != 0 {
		t.Fatal(out, errs)
	}
	var all []struct {
		JID, TLS string
		Peer     *struct {
			Direction string
			Pairs     []struct{ Local, Remote, Method string }
		}
	}
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Fatal(err)
	}
	for _, l := range all {
		if l.Peer == nil {
			continue
		}
		if len(l.Peer.Pairs) == 0 {
			list = append(list, l.Peer.Direction+" "+l.JID)
		}
		for _, p := range l.Peer.Pairs {
			list = append(list, fmt.Sprintf("%s %s %s %s", l.Peer.Direction, p.Remote, p.Local, p.Method))
		}
		if !strings.HasPrefix(l.TLS, "TLS 1.") {
			t.Errorf("%s is without TLS: %s", l.JID, l.TLS)
		}
	}
	slices.Sort(list)
	return list
}

// TestFederationReload forbids other servers while they are connected: their streams end, those of others do not.
func TestFederationReload(t *testing.T) {
	g := newPeerTarget(t, "")
	said := make(chan string, 10) // stream errors on streams that the server under test opened
	on := func(st *xtest.PeerStream, n *xtest.Node) bool {
		if n.Name.Local == "error" {
			said <- st.From + " " + n.Children[0].Name.Local
		}
		return false
	}
	alice := g.Login(t, "alice@a.test/x")
	alice.Ignore = unanswered
	in := map[string]*xtest.PeerStream{}
	for _, d := range []string{"b.test", "c.test"} {
		p := g.peer(t, d, xtest.PeerOptions{On: on})
		alice.Send("<message to='eve@%s' type='chat'><body>x</body></message>", d)
		p.Message(t)
		in[d] = g.Authenticated(t, d, "a.test", g.cert(t, d))
	}
	g.peer(t, "d.test", xtest.PeerOptions{})
	in["d.test"] = g.DialPeer(t, "d.test", "open.test")
	in["d.test"].Secure(nil)
	if n := in["d.test"].Dialback(); n.Attr("type") != "valid" {
		t.Fatal(n)
	}
	waiting := g.DialPeer(t, "w.test", "a.test")
	waiting.Secure(g.cert(t, "w.test"))

	wantStreams := func(t *testing.T, want ...string) {
		t.Helper()
		slices.Sort(want)
		var got []string
		for end := time.Now().Add(xtest.Wait); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			if got = peerStreams(t, g.Server); slices.Equal(got, want) {
				return
			}
		}
		t.Errorf("session list has %q, want %q", got, want)
	}
	b, c := []string{"in b.test a.test EXTERNAL", "out b.test a.test EXTERNAL"}, []string{"in c.test a.test EXTERNAL", "out c.test a.test EXTERNAL"}
	wantStreams(t, append(slices.Concat(b, c), "in d.test open.test dialback", "in w.test")...)

	reconfigure(t, g.Target, "host_policy = [", "host_policy = [{host = 'c.test', policy = 'deny'}, ")
	in["c.test"].WantStreamError("policy-violation")
	if got := soon(t, said); got != "c.test policy-violation" {
		t.Errorf("c.test, to whom a stream stood, hears %s", got)
	}
	wantStreams(t, append(slices.Clone(b), "in d.test open.test dialback", "in w.test")...)
	alice.Send("<message to='eve@c.test' type='chat' id='no'><body>x</body></message>")
	alice.Want("<message type='error' id='no' from='eve@c.test'><error type='cancel'><not-allowed xmlns='%s'/></error></message>", stanzasNS)
	p := g.DialPeer(t, "c.test", "a.test")
	p.Greet("")
	p.WantStreamError("policy-violation")

	// The one that has not authenticated as yet is asked when it does.
	reconfigure(t, g.Target, "host_policy = [", "host_policy = [{host = 'w.test', policy = 'deny'}, ")
	waiting.Send("<auth xmlns='%s' mechanism='EXTERNAL'>=</auth>", saslNS)
	waiting.WantStreamError("policy-violation")

	// What dialback was enough for is asked for a certificate.
	reconfigure(t, g.Target, "s2s = {secure_auth = false}", "s2s = {secure_auth = false, secure_domains = ['d.test']}")
	in["d.test"].WantStreamError("reset", "not-authorized", "policy-violation")
	wantStreams(t, b...)

	// Who was allowed all along has noticed nothing.
	arrives(t, in["b.test"], "eve@b.test", "bob@a.test/desk", g.Victim, "eve@b.test")
	reconfigure(t, g.Target, "host_policy = [{host = 'w.test', policy = 'deny'}, {host = 'c.test', policy = 'deny'}, ", "host_policy = [")
	again := g.Authenticated(t, "c.test", "a.test", g.cert(t, "c.test"))
	arrives(t, again, "eve@c.test", "bob@a.test/desk", g.Victim, "eve@c.test")
}

// TestFederationStop: at SIGTERM what waits for another server goes back to who sent it, before he is sent home, and servers
// that are connected are told.
func TestFederationStop(t *testing.T) {
	g := newPeerTarget(t, "")
	told := make(chan string, 10)
	there := g.peer(t, "there.test", xtest.PeerOptions{On: func(st *xtest.PeerStream, n *xtest.Node) bool {
		if n.Name.Local == "error" {
			told <- n.Children[0].Name.Local
		}
		return false
	}})
	stalled := xtest.NewPeer(t, "stalled.test", xtest.PeerOptions{Raw: func(nc net.Conn) { io.Copy(io.Discard, nc) }})
	g.locate("stalled.test", stalled.Addr)
	alice := g.Login(t, "alice@a.test/x")
	alice.Send("<message to='eve@there.test' type='chat'><body>x</body></message>")
	there.Message(t)
	in := g.Authenticated(t, "there.test", "a.test", g.cert(t, "there.test"))
	for i := range 3 {
		alice.Send("<message to='eve@stalled.test' type='chat' id='%d'><body>x</body></message>", i)
	}
	alice.Send("<message to='eve@there.test' type='chat'><body>last</body></message>")
	alice.Barrier()
	stopped := make(chan error, 1)
	go func() { stopped <- g.Stop() }()
	for i := range 3 {
		alice.Want("<message type='error' id='%d' from='eve@stalled.test'><error><remote-server-timeout xmlns='%s'/></error></message>", i, stanzasNS)
	}
	alice.WantStreamError("system-shutdown")
	g.Victim.Conn.Close()
	g.Bystander.Conn.Close()
	g.alice.Conn.Close()
	if _, body := there.Message(t); body != "last" {
		t.Errorf("got %q", body)
	}
	in.WantStreamError("system-shutdown")
	if got := soon(t, told); got != "system-shutdown" {
		t.Errorf("who was connected to is told %s", got)
	}
	if err := soon(t, stopped); err != nil {
		t.Error(err)
	}
}
