package s2s

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stream"
)

// shakeHands runs a handshake and returns what each side saw.
func shakeHands(t *testing.T, client, srv *tls.Config) (ofClient, ofServer tls.ConnectionState, sni string, err error) {
	t.Helper()
	srv = srv.Clone()
	srv.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) { sni = h.ServerName; return nil, nil }
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(30 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	c, s := tls.Client(a, client), tls.Server(b, srv)
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err != nil {
			b.Close()
		} else {
			_, err = s.Write([]byte("x"))
		}
		done <- err
	}()
	err = c.Handshake()
	if err == nil {
		_, err = c.Read(make([]byte, 1)) // with whatever the server sends after the handshake
	} else {
		a.Close()
	}
	if serr := <-done; err == nil {
		err = serr
	}
	return c.ConnectionState(), s.ConnectionState(), sni, err
}

func writePair(t *testing.T, dir, host string, s *signer, chain ...*signer) {
	t.Helper()
	var crt []byte
	for _, c := range append([]*signer{s}, chain...) {
		crt = append(crt, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.cert.Raw})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		t.Fatal(err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	for name, data := range map[string][]byte{host + ".key": key, host + ".crt": crt} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClientTLS(t *testing.T) {
	root := issue(t, nil, authority("root"))
	inter := issue(t, root, authority("intermediate"))
	dir := t.TempDir()
	one, two := issue(t, inter, server("one.test", "*.one.test")), issue(t, inter, server("two.test"))
	writePair(t, dir, "one.test", one, inter)
	writePair(t, dir, "two.test", two, inter)
	o := stream.CertOptions{Dir: dir, Hosts: []string{"one.test", "two.test"}}
	certs, err := stream.OpenCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	peer := issue(t, nil, server("peer.test")) // of an authority that nobody knows: that is judged later
	strange := x509.NewCertPool()
	strange.AddCert(peer.cert)
	srv := &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{peer.cert.Raw}, PrivateKey: peer.key}},
		ClientAuth:   tls.RequestClientCert, ClientCAs: strange, // it lists authorities that are not ours
		NextProtos: []string{"xmpp-server"},
	}

	for _, test := range []struct {
		name          string
		local, domain string
		direct        bool
		profile       string
		sni, alpn     string
		shown         *signer
	}{
		{"STARTTLS", "one.test", "peer.test", false, "intermediate", "peer.test", "", one},
		{"direct", "two.test", "peer.test", true, "modern", "peer.test", "xmpp-server", two},
		{"a service of a host", "rooms.one.test", "peer.test", false, "intermediate", "peer.test", "", one},
		{"a service without certificate", "rooms.two.test", "peer.test", false, "intermediate", "peer.test", "", nil},
		{"a domain with U-labels", "one.test", "bücher.test", true, "old", "xn--bcher-kva.test", "xmpp-server", one},
		{"an IPv4 address", "one.test", "10.0.0.1", false, "intermediate", "", "", one},
		{"an IPv6 address", "one.test", "[fd00::1]", false, "intermediate", "", "", one},
		{"a profile that does not exist", "one.test", "peer.test", false, "nonsense", "peer.test", "", one},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := ClientTLS(ClientTLSOptions{Profile: test.profile, Certificates: certs, Local: test.local, Domain: test.domain, Direct: test.direct})
			c, s, sni, err := shakeHands(t, cfg, srv)
			if err != nil {
				t.Fatal(err)
			}
			if sni != test.sni || s.NegotiatedProtocol != test.alpn {
				t.Errorf("SNI %q, ALPN %q", sni, s.NegotiatedProtocol)
			}
			if len(c.PeerCertificates) != 1 || !c.PeerCertificates[0].Equal(peer.cert) {
				t.Errorf("the server showed %d certificates", len(c.PeerCertificates))
			}
			switch {
			case test.shown == nil:
				if len(s.PeerCertificates) > 0 {
					t.Error("a certificate was shown")
				}
			case len(s.PeerCertificates) != 2 || !bytes.Equal(s.PeerCertificates[0].Raw, test.shown.cert.Raw):
				t.Errorf("%d certificates were shown", len(s.PeerCertificates))
			}
		})
	}

	t.Run("versions and suites", func(t *testing.T) {
		modern := ClientTLS(ClientTLSOptions{Profile: "modern", Certificates: certs, Local: "one.test", Domain: "peer.test"})
		old := srv.Clone()
		old.MaxVersion = tls.VersionTLS12
		if _, _, _, err := shakeHands(t, modern, old); err == nil {
			t.Error("modern takes TLS 1.2")
		}
		cfg := ClientTLS(ClientTLSOptions{Profile: "intermediate", Curves: []string{"P-256"}, Certificates: certs, Local: "one.test", Domain: "peer.test"})
		if !slices.Equal(cfg.CurvePreferences, []tls.CurveID{tls.CurveP256}) {
			t.Errorf("curves: %v", cfg.CurvePreferences)
		}
		old.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		if _, _, _, err := shakeHands(t, cfg, old); err == nil {
			t.Error("intermediate takes CBC")
		}
	})

	t.Run("a certificate that the peer cannot read is not shown", func(t *testing.T) {
		cfg := ClientTLS(ClientTLSOptions{Profile: "intermediate", Certificates: certs, Local: "one.test", Domain: "peer.test"})
		for scheme, shown := range map[tls.SignatureScheme]bool{tls.ECDSAWithP256AndSHA256: true, tls.PSSWithSHA256: false} {
			cri := &tls.CertificateRequestInfo{Version: tls.VersionTLS13, SignatureSchemes: []tls.SignatureScheme{scheme}, AcceptableCAs: [][]byte{{0x30, 0}}}
			cert, err := cfg.GetClientCertificate(cri)
			if err != nil || cert == nil || (len(cert.Certificate) > 0) != shown {
				t.Errorf("%v: %v, %v", scheme, cert, err)
			}
			if len(cri.AcceptableCAs) != 1 {
				t.Error("the request was changed")
			}
		}
	})

	t.Run("no session is resumed", func(t *testing.T) {
		cfg := ClientTLS(ClientTLSOptions{Profile: "intermediate", Certificates: certs, Local: "one.test", Domain: "peer.test"})
		tickets := srv.Clone()
		tickets.SetSessionTicketKeys([][32]byte{{1}})
		for range 3 {
			if c, _, _, err := shakeHands(t, cfg, tickets); err != nil || c.DidResume {
				t.Errorf("resumed %v, %v", c.DidResume, err)
			}
		}
	})

	t.Run("a new certificate is shown by the next handshake", func(t *testing.T) {
		cfg := ClientTLS(ClientTLSOptions{Profile: "intermediate", Certificates: certs, Local: "one.test", Domain: "peer.test"})
		renewed := issue(t, inter, server("one.test"))
		writePair(t, dir, "one.test", renewed, inter)
		if err := certs.Reload(o); err != nil {
			t.Fatal(err)
		}
		_, s, _, err := shakeHands(t, cfg, srv)
		if err != nil || len(s.PeerCertificates) == 0 || !s.PeerCertificates[0].Equal(renewed.cert) {
			t.Errorf("%v", err)
		}
	})

	t.Run("the peer is judged afterwards", func(t *testing.T) {
		good := issue(t, inter, server("peer.test"))
		v, err := NewVerifier(VerifierOptions{RootsFile: rootsFile(t, root)})
		if err != nil {
			t.Fatal(err)
		}
		cfg := ClientTLS(ClientTLSOptions{Profile: "intermediate", Certificates: certs, Local: "one.test", Domain: "peer.test"})
		proving := srv.Clone()
		proving.Certificates = []tls.Certificate{{Certificate: [][]byte{good.cert.Raw, inter.cert.Raw}, PrivateKey: good.key}}
		c, s, _, err := shakeHands(t, cfg, proving)
		if err != nil {
			t.Fatal(err)
		}
		if err := v.Check(&c, "peer.test"); err != nil {
			t.Error(err)
		}
		if err := v.Check(&s, "one.test"); err != nil { // the other way round: a server's certificate of a client
			t.Error(err)
		}
		if err := v.Check(&s, "two.test"); err == nil {
			t.Error("one.test is two.test")
		}
	})
}
