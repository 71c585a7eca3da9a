package test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// These benchmarks run the whole server. What they report is its CPU time for each message or login, which does not depend
// on what the clients beside it cost; ns/op does. See doc/performance.md.

func benchServer(b *testing.B, limits string) *xtest.Server {
	if xtest.Race {
		b.Skip("the race detector has a pace of its own")
	}
	s := xtest.New(b, xtest.Options{LogLevel: "info", Limits: "profile = \"off\"\n" + limits, Extra: "[auth]\nscram_hashes = [\"SHA-256\"]\n"})
	s.AddUsers("alice@localhost", "bob@localhost")
	return s
}

// BenchmarkServerChat is a chat message from one client to another, both under TLS, with all default modules: all six hops. It
// asks not to be archived; BenchmarkServerArchived is the others.
// One at a time is what a conversation is; thirty-two show what is gained where more is on its way.
func BenchmarkServerChat(b *testing.B) {
	for _, managed := range []bool{false, true} {
		for _, window := range []int{1, 32} {
			name := fmt.Sprintf("window-%d", window)
			if managed {
				name += "-sm"
			}
			b.Run(name, func(b *testing.B) {
				s := benchServer(b, "sm_queue = 100000\nsm_queue_size = \"64MiB\"\n")
				alice, bob := s.Online(b, "alice@localhost/x"), s.Online(b, "bob@localhost/x")
				if managed {
					bob.Send("<enable xmlns='urn:xmpp:sm:3'/>")
					bob.Want("<enabled xmlns='urn:xmpp:sm:3'/>")
				}
				one := "<message to='bob@localhost/x' type='chat' id='b4c1b9f0-5a0f-4f7e-9a43-5f0f8f9a1c11'><body>Wherefore art thou, Romeo?</body>" +
					"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/><no-permanent-store xmlns='urn:xmpp:hints'/></message>"
				all := strings.Repeat(one, window)
				taken := 0
				b.ResetTimer()
				from, n := s.CPU(b), 0
				for b.Loop() {
					alice.Send("%s", all)
					n += window
					for got := 0; got < window; {
						switch bob.Must().Name.Local {
						case "message":
							got++
							taken++
						case "r":
							bob.Send("<a xmlns='urn:xmpp:sm:3' h='%d'/>", taken)
						}
					}
				}
				b.ReportMetric(float64((s.CPU(b)-from).Microseconds())/float64(n), "server-µs/msg")
				b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
			})
		}
	}
}

// BenchmarkServerPairs is chat of many at once: each of the connections waits for its own next message, so that what it
// costs to wait and to be woken shows. XMPPD_TEST_TRANSPORT chooses the transport.
func BenchmarkServerPairs(b *testing.B) {
	for _, pairs := range []int{50, 500} {
		b.Run(strconv.Itoa(pairs), func(b *testing.B) {
			s := benchServer(b, "resources_per_account = 1000\n")
			var from, to []*xtest.Client
			for i := range pairs {
				from = append(from, s.Online(b, fmt.Sprintf("alice@localhost/p%d", i)))
				to = append(to, s.Online(b, fmt.Sprintf("bob@localhost/p%d", i)))
				to[i].Send("<presence type='unavailable'/>") // no presence of one to all
				from[i].Send("<presence type='unavailable'/>")
				to[i].Barrier()
				from[i].Barrier()
			}
			const each = 4 // messages of a pair, for each turn of the loop
			b.ResetTimer()
			cpu, n := s.CPU(b), 0
			for b.Loop() {
				var wg sync.WaitGroup
				for i := range pairs {
					wg.Go(func() {
						for range each {
							from[i].Send("<message to='bob@localhost/p%d' type='chat' id='x'><body>Wherefore art thou, Romeo?</body></message>", i)
							for to[i].Must().Name.Local != "message" {
							}
						}
					})
				}
				wg.Wait()
				n += each * pairs
			}
			b.ReportMetric(float64((s.CPU(b)-cpu).Microseconds())/float64(n), "server-µs/msg")
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkServerLogin is a connection by STARTTLS, a login with SCRAM-SHA-256-PLUS, a resource, presence, and the end.
func BenchmarkServerLogin(b *testing.B) {
	s := benchServer(b, "")
	login := func() {
		c := s.Secure(b, "localhost")
		if n := c.TryScram(&xtest.Scram{Mechanism: "SCRAM-SHA-256-PLUS", User: "alice", Password: xtest.Password}); n.Name.Local != "success" {
			b.Fatal(n)
		}
		c.Restart()
		c.Open()
		c.Bind("x")
		c.Send("<presence/>")
		c.Quit()
		c.Conn.Close()
	}
	login()
	from, n := s.CPU(b), 0
	for b.Loop() {
		login()
		n++
	}
	b.ReportMetric(float64((s.CPU(b)-from).Microseconds())/float64(n), "server-µs/login")
}

// BenchmarkServerArchived is BenchmarkServerChat between many accounts, each message in two archives: what it costs depends on
// how many commits the messages share. It names the pairs that talk at once.
func BenchmarkServerArchived(b *testing.B) {
	for _, pairs := range []int{1, 32} {
		b.Run(fmt.Sprintf("pairs-%d", pairs), func(b *testing.B) {
			s := benchServer(b, "")
			var jids []string
			for i := range pairs {
				jids = append(jids, fmt.Sprintf("from%d@localhost", i), fmt.Sprintf("to%d@localhost", i))
			}
			s.AddUsers(jids...)
			from, to := make([]*xtest.Client, pairs), make([]*xtest.Client, pairs)
			for i := range pairs {
				from[i], to[i] = s.Online(b, jids[2*i]+"/x"), s.Online(b, jids[2*i+1]+"/x")
			}
			cpu, n := s.CPU(b), 0
			for b.Loop() {
				for i := range pairs {
					from[i].Send("<message to='%s/x' type='chat' id='b4c1b9f0-5a0f-4f7e-9a43-5f0f8f9a1c11'><body>Wherefore art thou, Romeo?</body>"+
						"<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>", jids[2*i+1])
				}
				for i := range pairs {
					if m := to[i].Must(); m.Name.Local != "message" {
						b.Fatal(m)
					}
				}
				n += pairs
			}
			b.ReportMetric(float64((s.CPU(b)-cpu).Microseconds())/float64(n), "server-µs/msg")
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

// BenchmarkServerPage asks for the last page, of 50, of an archive of 2,000 messages.
func BenchmarkServerPage(b *testing.B) {
	s := benchServer(b, "")
	alice := s.Login(b, "alice@localhost/x")
	for i := range 2000 {
		alice.Send("<message to='bob@localhost' type='chat' id='m%d'><body>%s</body><no-store xmlns='urn:xmpp:other'/></message>", i, strings.Repeat("x", 200))
		if i%100 == 99 {
			alice.Barrier()
		}
	}
	cpu, n := s.CPU(b), 0
	for b.Loop() {
		alice.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max><before/></set></query></iq>")
		got := 0
		for alice.Must().Name.Local == "message" {
			got++
		}
		if got != 50 {
			b.Fatal(got)
		}
		n++
	}
	b.ReportMetric(float64((s.CPU(b)-cpu).Microseconds())/float64(n), "server-µs/page")
}
