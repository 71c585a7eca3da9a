package test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestAttackPeersLimits is about other servers that take too much, or too long. The times are shorter than the defaults.
func TestAttackPeersLimits(t *testing.T) {
	g := newPeerTarget(t, `handshake_timeout = "2s"
login_timeout = "4s"
stanza_timeout = "3s"
write_timeout = "1s"
dialback_timeout = "2s"
s2s_queue = 50
auth_tries = 4
`)
	good := g.cert(t, "b.test")
	full := func(n int) string { // a message of exactly so many bytes
		head := "<message from='eve@b.test' to='bob@a.test/desk' type='chat' id='big'><body>"
		const tail = "</body></message>"
		return head + strings.Repeat("x", n-len(head)-len(tail)) + tail
	}

	g.run(t, "R01 before authentication", func(t *testing.T) {
		for _, make := range unending {
			p := g.DialPeer(t, "b.test", "a.test")
			p.Secure(good)
			p.Send("%s", make(16<<10))
			p.WantStreamError("policy-violation")
		}
	})
	g.run(t, "R02 size of a stanza of another server", func(t *testing.T) {
		p := g.Authenticated(t, "b.test", "a.test", good)
		p.Send("%s", full(512<<10))
		if n := g.Victim.Want("<message id='big' from='eve@b.test'/>"); len(n.Find("body").Text) < 500<<10 {
			t.Error("it arrived in part")
		}
		p.TrySend(full(512<<10 + 1))
		p.WantStreamError("policy-violation")
	})
	g.run(t, "R03 depth of a stanza of another server", func(t *testing.T) {
		deep := func(n int) string {
			return "<message from='eve@b.test' to='bob@a.test/desk' type='chat' id='deep'><body>x</body>" + strings.Repeat("<a>", n-1) + strings.Repeat("</a>", n-1) + "</message>"
		}
		p := g.Authenticated(t, "b.test", "a.test", good)
		p.Send("%s", deep(64))
		g.Victim.Want("<message id='deep'/>")
		for _, n := range []int{65, 1000, 50000} {
			p.TrySend(deep(n))
			p.WantStreamError("policy-violation")
			p = g.Authenticated(t, "b.test", "a.test", good)
		}
	})
	g.run(t, "R04 elements and attributes of another server", func(t *testing.T) {
		for _, inner := range []string{
			strings.Repeat("<a/>", 10001), "<a" + times(65, " a%d=''") + "/>", "<a" + times(17, " xmlns:a%d='u'") + "/>",
			"<" + strings.Repeat("a", 257) + "/>", "<a b='" + strings.Repeat("x", 64<<10+1) + "'/>",
		} {
			p := g.Authenticated(t, "b.test", "a.test", good)
			p.TrySend("<message from='eve@b.test' to='bob@a.test'>" + inner + "</message>")
			p.WantStreamError("policy-violation")
		}
	})

	// Those who say nothing, and those who say it slowly, wait for their end together.
	silent := map[string]*xtest.PeerStream{}
	for state, bring := range map[string]func(*xtest.PeerStream){
		"raw": func(*xtest.PeerStream) {}, "open": func(p *xtest.PeerStream) { p.Open() }, "tls": func(p *xtest.PeerStream) { p.Secure(good) },
		"proceed": func(p *xtest.PeerStream) {
			p.Open()
			p.Send("<starttls xmlns='%s'/>", tlsNS)
			p.Want("<proceed xmlns='%s'/>", tlsNS)
		},
	} {
		silent[state] = g.DialPeer(t, "b.test", "a.test")
		bring(silent[state])
	}
	slow := map[string]<-chan bool{}
	for state, piece := range map[string]string{"raw": " ", "header": "<stream:stream ", "tls": " ", "key": "<db:result from='b.test'"} {
		p := g.DialPeer(t, "b.test", "open.test")
		if state == "tls" || state == "key" {
			p.Secure(nil)
		}
		p.Send("%s", piece)
		slow[state] = trickles(p)
	}
	p := g.Authenticated(t, "b.test", "a.test", good)
	p.Send("<message from='eve@b.test' to='bob@a.test'><body>")
	stanza := trickles(p)
	g.run(t, "H01 silent server", func(t *testing.T) {
		for state, p := range silent {
			for _, n := range p.WantClosed() {
				if n.Name.Local == "error" && n.Child("connection-timeout") == nil {
					t.Errorf("%s ends with %s", state, n)
				}
			}
		}
	})
	g.run(t, "H02 slow server", func(t *testing.T) {
		for state, ended := range slow {
			if !<-ended {
				t.Errorf("%s: it is still served", state)
			}
		}
	})
	g.run(t, "H03 slow stanza of another server", func(t *testing.T) {
		if !<-stanza {
			t.Error("it is still read")
		}
	})
	g.run(t, "H04 server that asks and never reads", func(t *testing.T) {
		before := g.RSS(t)
		p := g.DialPeer(t, "b.test", "open.test")
		p.Secure(nil)
		text := strings.Repeat("<db:verify from='b.test' to='open.test' id='"+strings.Repeat("i", 2000)+"'>key</db:verify>", 100)
		var sent int
		for end := time.Now().Add(xtest.Wait); time.Now().Before(end); sent += len(text) {
			p.Conn.SetWriteDeadline(end)
			if _, err := io.WriteString(p.Conn, text); err != nil {
				break
			}
			if sent > 200*mib {
				t.Fatal("it is still served after 200 MiB")
			}
		}
		if grown := g.RSS(t) - before; grown > 32*mib && !xtest.Race {
			t.Errorf("%d MiB of questions cost %d MiB", sent/mib, grown/mib)
		}
	})
	g.Run(t, "H04 server that never reads what it is sent", func(t *testing.T) {
		p := g.peer(t, "deaf.test", xtest.PeerOptions{On: func(st *xtest.PeerStream, n *xtest.Node) bool {
			if n.Name.Local == "message" {
				time.Sleep(3 * time.Second) // and longer than write_timeout
			}
			return false
		}})
		before := g.RSS(t)
		c := g.Login(t, "alice@a.test/deaf")
		body := strings.Repeat("x", 100<<10)
		returned := make(chan int)
		const sent = 400
		go func() { // who does not read either is a client that is ended
			n := 0
			for got, err := c.Next(); err == nil && got.Attr("id") != "barrier-1"; got, err = c.Next() {
				if got.Attr("type") == "error" {
					n++
				}
			}
			returned <- n
		}()
		for range sent {
			c.Send("<message to='eve@deaf.test' type='chat' id='x'><body>%s</body></message>", body)
		}
		c.Send("<iq type='get' id='barrier-1' to='a.test'><ping xmlns='urn:xmpp:ping'/></iq>")
		n := <-returned
		if n < sent/2 {
			t.Errorf("%d of %d were returned, where 4 MiB may wait", n, sent)
		}
		if grown := g.RSS(t) - before; grown > 48*mib && !xtest.Race {
			t.Errorf("it cost %d MiB", grown/mib)
		}
		p.Hangup()
	})

	g.Run(t, "H04 server that stops to read, and comes again", func(t *testing.T) {
		// It knows nothing of XEP-0198, so what is on its way is lost. That is little beside what waits.
		goOn := make(chan struct{})
		var once sync.Once
		p := g.peer(t, "halting.test", xtest.PeerOptions{On: func(st *xtest.PeerStream, n *xtest.Node) bool {
			if n.Name.Local == "message" {
				once.Do(func() { <-goOn })
			}
			return false
		}})
		c := g.Login(t, "alice@a.test/halting")
		const sent = 800
		known := map[string]bool{}
		for i := range sent {
			c.Send("<message to='eve@halting.test' type='chat' id='%d'><body>%s</body></message>", i, strings.Repeat("x", 20<<10))
			if i%20 == 0 {
				for _, n := range c.Barrier() {
					known[n.Attr("id")] = true
				}
			}
		}
		for end := time.Now().Add(xtest.Wait); p.Connections() < 2; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("nobody comes again")
			}
		}
		close(goOn)
		for waiting := true; waiting && len(known) < sent; {
			select {
			case n := <-p.Got:
				known[n.Attr("id")] = true
			case <-time.After(5 * time.Second): // what is lost does not come; a busy machine may be slow
				waiting = false
			}
		}
		for _, n := range c.Barrier() {
			known[n.Attr("id")] = true
		}
		if lost := sent - len(known); lost > 10 {
			t.Errorf("nothing is known of %d of %d", lost, sent)
		} else {
			t.Logf("nothing is known of %d", lost)
		}
	})
	g.run(t, "H05 servers that are gone at each step", func(t *testing.T) {
		steps := []func(*xtest.PeerStream){
			func(*xtest.PeerStream) {},
			func(p *xtest.PeerStream) { p.Send("<stream:str") },
			func(p *xtest.PeerStream) { p.Open() },
			func(p *xtest.PeerStream) { p.Open(); p.Send("<starttls xmlns='%s'/>", tlsNS) },
			func(p *xtest.PeerStream) { p.Secure(good) },
			func(p *xtest.PeerStream) { p.Secure(good); p.External("b.test") },
			func(p *xtest.PeerStream) {
				p.Secure(good)
				p.External("b.test")
				p.Open()
				p.Send("<enable xmlns='urn:xmpp:sm:3'/>")
			},
			func(p *xtest.PeerStream) { p.Secure(good); p.Result("b.test", "a.test", "key") },
			func(p *xtest.PeerStream) { p.Secure(nil); p.Result("nobody.test", "open.test", "key") },
		}
		files := 0
		for round := range 40 {
			if round == 3 {
				files = g.FDs(t)
			}
			for i, step := range steps {
				p := g.DialPeer(t, "b.test", []string{"a.test", "open.test"}[i/8])
				step(p)
				if round%2 == 0 {
					p.TrySend("</stream:stream>")
				}
				p.Conn.Close()
			}
		}
		g.FewerFDs(t, files+5)
	})

	g.run(t, "S16 a thousand domains on one stream", func(t *testing.T) {
		stalled := xtest.NewPeer(t, "stalled.test", xtest.PeerOptions{Raw: func(nc net.Conn) { io.Copy(io.Discard, nc) }})
		const domains = 1000
		for i := range domains {
			g.locate(fmt.Sprintf("d%d.test", i), stalled.Addr)
		}
		before, files := g.RSS(t), g.FDs(t)
		p := g.DialPeer(t, "b.test", "open.test")
		p.Secure(nil)
		answers := make(chan map[string]int)
		go func() {
			count := map[string]int{}
			for range domains {
				n, err := p.Next()
				if err != nil {
					count[err.Error()]++
					break
				}
				if e := n.Child("error"); e != nil {
					count[e.Children[0].Name.Local]++
				} else {
					count[n.Attr("type")]++
				}
			}
			answers <- count
		}()
		for i := range domains {
			p.Result(fmt.Sprintf("d%d.test", i), "open.test", "key")
		}
		// S17: meanwhile others are served.
		g.peer(t, "honest.test", xtest.PeerOptions{})
		q := g.DialPeer(t, "honest.test", "open.test")
		q.Secure(nil)
		began := time.Now()
		q.Result("honest.test", "open.test", "key")
		q.Want("<db:result from='open.test' to='honest.test' type='valid'/>")
		if took := time.Since(began); took > time.Second {
			t.Errorf("S17 others wait %v", took)
		}
		if n := g.FDs(t) - files; n > 130 {
			t.Errorf("%d more files are open", n)
		}
		got := <-answers
		if got["resource-constraint"] != domains-50 || got["remote-server-timeout"] != 50 {
			t.Errorf("answers: %v", got)
		}
		if n := stalled.Connections(); n > 50 {
			t.Errorf("%d connections were made", n)
		}
		if grown := g.RSS(t) - before; grown > 32*mib && !xtest.Race {
			t.Errorf("it cost %d MiB", grown/mib)
		}
		stalled.Hangup()
	})
	g.run(t, "S17 many streams with keys of servers that stall", func(t *testing.T) {
		stalled := xtest.NewPeer(t, "stalled.test", xtest.PeerOptions{Raw: func(nc net.Conn) { io.Copy(io.Discard, nc) }})
		for i := range 8 {
			p := g.DialPeer(t, "b.test", "open.test")
			p.Secure(nil)
			for j := range 50 {
				d := fmt.Sprintf("s%d-%d.test", i, j)
				g.locate(d, stalled.Addr)
				p.Result(d, "open.test", "key")
			}
		}
		g.peer(t, "upright.test", xtest.PeerOptions{})
		q := g.DialPeer(t, "upright.test", "open.test", "127.0.0.2")
		q.Secure(nil)
		q.Result("upright.test", "open.test", "key")
		q.Want("<db:result from='open.test' to='upright.test' type='valid'/>")
		stalled.Hangup()
	})
	g.run(t, "S17 authoritative server stalls", func(t *testing.T) {
		asking := map[string]*xtest.PeerStream{}
		for state, o := range map[string]xtest.PeerOptions{
			"tcp": {Raw: func(nc net.Conn) { io.Copy(io.Discard, nc) }},
			"handshake": {On: func(st *xtest.PeerStream, n *xtest.Node) bool {
				if n.Name.Local == "starttls" {
					st.TrySend("<proceed xmlns='" + tlsNS + "'/>")
					io.Copy(io.Discard, st.Conn)
				}
				return false
			}},
			"answer": {Verify: func(*xtest.Node) string { return "-" }},
		} {
			d := state + ".test"
			stalling := g.peer(t, d, o)
			defer stalling.Hangup()
			p := g.DialPeer(t, d, "open.test")
			p.Secure(nil)
			p.Result(d, "open.test", "key")
			asking[d] = p
		}
		began := time.Now()
		for d, p := range asking {
			p.Want("<db:result from='open.test' to='%s' type='error'><error><remote-server-timeout xmlns='%s'/></error></db:result>", d, stanzasNS)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
	})

	g.Run(t, "R15 one user who writes to hundreds of domains that do not answer", func(t *testing.T) {
		popular, rare := g.peer(t, "popular.test", xtest.PeerOptions{}), g.peer(t, "rare.test", xtest.PeerOptions{})
		c := g.Login(t, "mallory@a.test/many")
		before := g.FDs(t)
		const domains = 300
		for i := range domains {
			d := fmt.Sprintf("mute%d.test", i)
			for _, name := range []string{"_xmpp-server._tcp." + d, "_xmpps-server._tcp." + d, d} {
				g.dns.Fail(name, xtest.Silent)
			}
			c.Send("<message to='eve@%s' type='chat' id='m'><body>x</body></message>", d)
		}
		c.Send("<message to='eve@popular.test' type='chat'><body>x</body></message>") // and has others wait behind it
		c.Barrier()
		began := time.Now()
		for _, p := range []*xtest.Peer{popular, rare} {
			g.Victim.Send("<message to='eve@%s' type='chat'><body>from bob</body></message>", p.Domain)
		}
		for _, p := range []*xtest.Peer{popular, rare} {
			for body := ""; body != "from bob"; {
				_, body = p.Message(t)
			}
		}
		if took := time.Since(began); took > 6*time.Second { // mallory's own turn would come after 14
			t.Errorf("others wait %v", took)
		}
		if n := g.FDs(t) - before; n > 4*64 {
			t.Errorf("%d files are open for 64 look-ups", n)
		}
	})
	g.Run(t, "S20 queue to a dead domain", func(t *testing.T) {
		dead := g.peer(t, "dead.test", xtest.PeerOptions{Raw: func(nc net.Conn) { io.Copy(io.Discard, nc) }})
		c := g.Login(t, "alice@a.test/dead")
		const sent, room = 80, 50
		for i := range sent {
			c.Send("<message to='eve@dead.test' type='chat' id='%d'><body>x</body></message>", i)
		}
		for i := range sent - room {
			c.Want("<message type='error' id='%d' from='eve@dead.test'><error><resource-constraint xmlns='%s'/></error></message>", room+i, stanzasNS)
		}
		for i := range room {
			c.Want("<message type='error' id='%d' from='eve@dead.test'><error><remote-server-timeout xmlns='%s'/></error></message>", i, stanzasNS)
		}
		c.Quiet()
		dead.Hangup()
		// A server that is slow to open gets all, in order.
		late := g.peer(t, "late.test", xtest.PeerOptions{On: func(st *xtest.PeerStream, n *xtest.Node) bool {
			if n.Name.Local == "auth" {
				time.Sleep(200 * time.Millisecond)
			}
			return false
		}})
		for i := range room {
			c.Send("<message to='eve@late.test' type='chat' id='%d'><body>%d</body></message>", i, i)
		}
		for i := range room {
			if _, body := late.Message(t); body != fmt.Sprint(i) {
				t.Fatalf("message %s comes where %d is due", body, i)
			}
		}
		c.Quiet()
	})
}

// TestAttackPeersDefaults is about limits that the other tests have lifted.
func TestAttackPeersDefaults(t *testing.T) {
	ca := xtest.NewCA(t)
	g := &peerTarget{ca: ca, Target: xtest.NewTarget(t, xtest.Options{
		Hosts: []string{"a.test"}, Certs: map[string]*xtest.Pair{"a.test": ca.Issue(t, xtest.Issue{Names: []string{"a.test"}})}, CA: ca,
		TLS: fmt.Sprintf("trusted_ca_file = %q", ca.File(t)), S2S: "listen = ['127.0.0.1:0']",
		Limits: "connections_per_address = 10\nrate_s2s = '512kB'\nburst_s2s = '1MiB'",
	})}
	good := g.cert(t, "b.test")
	g.Run(t, "S04 one name after the other", func(t *testing.T) {
		p := g.DialPeer(t, "b.test", "a.test", "127.0.0.3")
		p.Secure(good)
		for range 4 {
			p.Send("<auth xmlns='%s' mechanism='EXTERNAL'>%s</auth>", saslNS, xtest.B64("c.test"))
			p.Want("<failure xmlns='%s'><invalid-authzid/></failure>", saslNS)
		}
		p.WantStreamError("policy-violation")
	})
	g.Run(t, "R09 connections of one address to the port for servers", func(t *testing.T) {
		served := 0
		for range 30 {
			p := g.DialPeer(t, "b.test", "a.test", "127.0.0.3")
			p.TrySend(strings.Replace(peerHeader, "open.test", "a.test", 1))
			if n, err := p.Next(); err == nil && n.Name.Local == "stream" {
				served++
			}
		}
		if served != 10 {
			t.Errorf("%d are served", served)
		}
		g.DialPeer(t, "b.test", "a.test", "127.0.0.4").Open()
	})
	g.Run(t, "R07 rate of another server", func(t *testing.T) {
		p := g.Authenticated(t, "b.test", "a.test", good)
		const size, messages = 100 << 10, 22 // 2.2 MB, of which one may come at once
		go func() {
			for range messages {
				p.TrySend("<message from='eve@b.test' to='bob@a.test/desk' type='chat' id='r'><body>" + strings.Repeat("x", size) + "</body></message>")
			}
		}()
		began := time.Now()
		for range messages {
			g.Victim.Want("<message id='r'/>")
			g.Bystander.Barrier()
		}
		if took := time.Since(began); took < time.Second {
			t.Errorf("%v for 2.2 MB, where a MiB may come at once and 512 kB a second", took)
		}
	})
}

// trickles sends a byte now and then, and tells whether the server has ended the stream within a time that is long enough.
func trickles(p *xtest.PeerStream) <-chan bool {
	ended, result := make(chan struct{}), make(chan bool, 1)
	go func() {
		defer close(ended)
		for {
			if _, err := p.Next(); err != nil {
				return
			}
		}
	}()
	go func() {
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			select {
			case <-ended:
				result <- true
				return
			case <-time.After(100 * time.Millisecond):
				p.TrySend(" ")
			}
		}
		p.Conn.Close()
		<-ended
		result <- false
	}()
	return result
}
