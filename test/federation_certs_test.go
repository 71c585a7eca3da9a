package test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestFederationCertificates goes through what other servers may show and what the policy may ask of them, in both
// directions. In: another server connects, and dials back. Out: it is connected to, and offers EXTERNAL to those whose
// certificate it trusts, and dialback.
func TestFederationCertificates(t *testing.T) {
	ca := xtest.NewCA(t)
	day := 24 * time.Hour
	shown := []struct {
		name    string
		cert    func(domain string) *tls.Certificate
		in, out [2]string // what comes of it where it must be valid, and where it need not; empty: not to be tried
	}{
		{"valid", func(d string) *tls.Certificate {
			return ca.Issue(t, xtest.Issue{Names: []string{d}, Usage: serverAndClient}).TLS()
		},
			[2]string{"EXTERNAL", "EXTERNAL"}, [2]string{"EXTERNAL", "EXTERNAL"}},
		{"for servers alone", func(d string) *tls.Certificate { return ca.Issue(t, xtest.Issue{Names: []string{d}}).TLS() },
			[2]string{"EXTERNAL", "EXTERNAL"}, [2]string{"EXTERNAL", "EXTERNAL"}},
		{"expired", func(d string) *tls.Certificate {
			return ca.Issue(t, xtest.Issue{Names: []string{d}, From: time.Now().Add(-2 * day), To: time.Now().Add(-day)}).TLS()
		}, [2]string{"refused", "dialback"}, [2]string{"refused", "EXTERNAL"}},
		{"of another name", func(d string) *tls.Certificate {
			return ca.Issue(t, xtest.Issue{Names: []string{"else.test"}, Common: d}).TLS()
		}, [2]string{"refused", "dialback"}, [2]string{"refused", "EXTERNAL"}},
		{"made by itself", func(d string) *tls.Certificate {
			return ca.Issue(t, xtest.Issue{Names: []string{d}, Self: true}).TLS()
		}, [2]string{"refused", "dialback"}, [2]string{"refused", "EXTERNAL"}},
		{"none", func(string) *tls.Certificate { return nil }, [2]string{"refused", "dialback"}, [2]string{}},
		{"no TLS", func(string) *tls.Certificate { return nil }, [2]string{}, [2]string{"refused", "refused"}},
	}
	// The policies, each in force for the domains under its own.
	policies := []struct {
		name, local, under string
		lenient            bool
	}{
		{"secure_auth", "a.test", "plain.test", false},
		{"secure_auth, insecure_domains", "a.test", "insecure.test", true},
		{"no secure_auth", "b.test", "plain.test", true},
		{"no secure_auth, secure_domains", "b.test", "secure.test", false},
	}
	type cell struct {
		peer *xtest.Peer
		cert *tls.Certificate
	}
	cells := map[string]cell{}
	hosts := ""
	for _, s := range shown {
		for _, under := range []string{"plain.test", "insecure.test", "secure.test"} {
			d := strings.ReplaceAll(s.name, " ", "-") + "." + under
			c := s.cert(d)
			o := xtest.PeerOptions{Cert: c, NoTLS: s.name == "no TLS", Roots: ca.Pool}
			if c == nil { // who shows none as a client must have one as a server, to be asked about keys
				o.Cert = ca.Issue(t, xtest.Issue{Names: []string{d}, Self: true}).TLS()
			}
			p := xtest.NewPeer(t, d, o)
			cells[d] = cell{p, c}
			hosts += fmt.Sprintf("%q = %q\n", d, p.Addr)
		}
	}
	certs := map[string]*xtest.Pair{}
	for _, h := range []string{"a.test", "b.test"} {
		certs[h] = ca.Issue(t, xtest.Issue{Names: []string{h}})
	}
	x := xtest.New(t, xtest.Options{
		Hosts: []string{"a.test", "b.test"}, Certs: certs, CA: ca, Limits: unmanaged,
		TLS:   fmt.Sprintf("trusted_ca_file = %q", ca.File(t)),
		S2S:   "listen = ['127.0.0.1:0']\ninsecure_domains = ['*.insecure.test']\n[s2s.hosts]\n" + hosts,
		Extra: "[[host_config]]\nhost = 'b.test'\ns2s = {secure_auth = false, secure_domains = ['*.secure.test'], insecure_domains = []}\n",
	})
	x.AddUsers("alice@a.test", "alice@b.test")
	reader := map[string]*xtest.Client{"a.test": x.Online(t, "alice@a.test/x"), "b.test": x.Online(t, "alice@b.test/x")}

	for _, policy := range policies {
		for _, s := range shown {
			d := strings.ReplaceAll(s.name, " ", "-") + "." + policy.under
			at := 0
			if policy.lenient {
				at = 1
			}
			alice := reader[policy.local]
			if want := s.in[at]; want != "" {
				t.Run(policy.name+", in, "+s.name, func(t *testing.T) {
					alice.T = t
					if got := comesIn(t, x, d, policy.local, cells[d].cert, alice); got != want {
						t.Errorf("%s, want %s", got, want)
					}
				})
			}
			if want := s.out[at]; want != "" {
				t.Run(policy.name+", out, "+s.name, func(t *testing.T) {
					alice.T = t
					if got := goesOut(t, cells[d].peer, alice); got != want {
						t.Errorf("%s, want %s", got, want)
					}
				})
			}
		}
	}
}

var serverAndClient = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

// comesIn has a server connect with a certificate, and says how it was let in.
func comesIn(t *testing.T, x *xtest.Server, from, to string, cert *tls.Certificate, reader *xtest.Client) string {
	t.Helper()
	p := x.DialPeer(t, from, to)
	p.Open()
	p.Handshake(p.TLS(cert))
	p.Greet("")
	p.Must() // the header
	features, how := p.Must(), "dialback"
	switch {
	case features.Name.Local == "error":
		if features.Child("not-authorized") == nil {
			t.Errorf("refused with %s", features)
		}
		return "refused"
	case slices.Contains(xtest.Mechanisms(features), "EXTERNAL"):
		if n := p.External(""); n.Name.Local != "success" {
			t.Fatal(n)
		}
		p.Open()
		how = "EXTERNAL"
	default:
		p.Result(from, to, "key")
		p.Want("<db:result from='%s' to='%s' type='valid'/>", to, from)
	}
	arrives(t, p, "eve@"+from, reader.JID, reader, "eve@"+from)
	return how
}

// goesOut has a client write to a server, and says how this one has proved to it who it is.
func goesOut(t *testing.T, p *xtest.Peer, c *xtest.Client) string {
	t.Helper()
	for len(p.Got) > 0 {
		<-p.Got
	}
	c.Send("<message to='eve@%s' type='chat' id='out'><body>hello</body></message>", p.Domain)
	answer := make(chan *xtest.Node, 1)
	go func() {
		defer close(answer)
		if n, err := c.Next(); err == nil {
			answer <- n
		}
	}()
	select {
	case n := <-answer:
		if n == nil || n.Attr("id") != "out" || n.Find("remote-server-timeout") == nil {
			t.Errorf("answered %s", n)
		}
		return "refused"
	case st := <-p.Got:
		if st.Attr("from") != c.JID || !st.TLS {
			t.Errorf("got %+v", st)
		}
		c.Send("<iq type='get' id='done' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", c.Host)
		if n := soon(t, answer); n == nil || n.Attr("id") != "done" {
			t.Errorf("it arrived, and the sender gets %s", n)
		}
		return st.How
	case <-time.After(xtest.Wait):
		t.Fatal("neither an answer nor a message")
		return ""
	}
}
