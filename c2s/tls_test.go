package c2s

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const startTLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"

// secure upgrades a connection by STARTTLS, checks the certificate, and returns the features that follow.
func (p *peer) secure(host string) string {
	p.t.Helper()
	p.header("to='" + host + "'")
	p.send(startTLS)
	p.want("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.handshake(&tls.Config{ServerName: host, InsecureSkipVerify: true})
	if err := p.c.(*tls.Conn).ConnectionState().PeerCertificates[0].VerifyHostname(host); err != nil {
		p.t.Fatal(err)
	}
	return p.header("to='" + host + "'")
}

func (p *peer) handshake(cfg *tls.Config) {
	p.t.Helper()
	tc := tls.Client(p.c, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		p.t.Fatal(err)
	}
	p.c = tc
	p.fresh()
}

func TestStartTLS(t *testing.T) {
	r := newRig(t, "")
	p := r.dial()
	f := p.secure("a.test")
	if strings.Contains(f, "starttls") { // T08
		t.Errorf("features %s", f)
	}
	p.send(startTLS)
	p.want("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.closed()
}

// The host is that of the stream where the client names none in the handshake.
func TestCertificateByStreamTo(t *testing.T) {
	r := newRig(t, "")
	p := r.dial()
	p.header("to='b.test'")
	p.send(startTLS)
	p.want("<proceed *")
	p.handshake(&tls.Config{InsecureSkipVerify: true})
	if err := p.c.(*tls.Conn).ConnectionState().PeerCertificates[0].VerifyHostname("b.test"); err != nil {
		t.Error(err)
	}
	p.header("to='b.test'")
}

// T03: what was sent in the clear behind <starttls/> is never executed.
func TestInjection(t *testing.T) {
	r := newRig(t, noTLS)
	for _, s := range []string{plain("alice"), "<iq type='get' id='inj'><x xmlns='urn:test'/></iq>", header + "to='a.test'>"} {
		p := r.dial()
		p.header("to='a.test'")
		p.send("%s%s", startTLS, s)
		p.c.SetReadDeadline(time.Now().Add(5 * time.Second))
		b, _ := io.ReadAll(p.c)
		if strings.Contains(string(b), "inj") || strings.Contains(string(b), "success") || strings.Contains(string(b), "<stream") {
			t.Errorf("%s", b)
		}
	}
}

func (r *rig) dialTLS(cfg *tls.Config) *peer {
	r.t.Helper()
	if r.direct == "" {
		r.listen()
	}
	c, err := net.Dial("tcp", r.direct)
	if err != nil {
		r.t.Fatal(err)
	}
	p := r.peer(c)
	cfg.InsecureSkipVerify = true
	p.handshake(cfg)
	return p
}

func TestDirectTLS(t *testing.T) { // T09
	r := newRig(t, "")
	p := r.dialTLS(&tls.Config{ServerName: "b.test", NextProtos: []string{"xmpp-client"}})
	cs := p.c.(*tls.Conn).ConnectionState()
	if err := cs.PeerCertificates[0].VerifyHostname("b.test"); err != nil || cs.NegotiatedProtocol != "xmpp-client" {
		t.Errorf("%v %q", err, cs.NegotiatedProtocol)
	}
	if f := p.header("to='b.test'"); strings.Contains(f, "starttls") || !strings.Contains(f, "PLAIN") {
		t.Error(f)
	}
	p = r.dialTLS(&tls.Config{})
	p.header("to='a.test'")
	c, err := tls.Dial("tcp", r.direct, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err == nil || !strings.Contains(err.Error(), "no application protocol") {
		t.Error(c, err)
	}
}

// T10: TLS made for one host does not serve another.
func TestHostOfHandshake(t *testing.T) {
	r := newRig(t, "")
	p := r.dialTLS(&tls.Config{ServerName: "a.test"})
	p.send("%sto='b.test'>", header)
	p.want("<stream:stream *>")
	p.fails("host-unknown")
	// A name that is no host of ours, such as an SRV target, says nothing.
	p = r.dialTLS(&tls.Config{ServerName: "xmpp.a.test"})
	p.header("to='b.test'")
}

// T11, H01, H02: silence, half a handshake and trickled bytes all end in time.
func TestTimesBeforeLogin(t *testing.T) {
	hello := "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
	for _, c := range []struct {
		name   string
		direct bool
		script func(p *peer)
		within time.Duration
	}{
		{"silence", false, func(*peer) {}, 30 * time.Second},
		{"direct silence", true, func(*peer) {}, 30 * time.Second},
		{"half a ClientHello", true, func(p *peer) { p.send("%s", hello) }, 30 * time.Second},
		{"after proceed", false, func(p *peer) { p.header("to='a.test'"); p.send(startTLS); p.want("<proceed *") }, 30 * time.Second},
		{"after header", false, func(p *peer) { p.header("to='a.test'") }, 30 * time.Second},
		{"trickle", false, func(p *peer) {
			p.header("to='a.test'")
			go func() {
				for {
					if _, err := p.c.Write([]byte(" ")); err != nil {
						return
					}
					time.Sleep(5 * time.Second)
				}
			}()
		}, 30 * time.Second},
		{"after TLS", false, func(p *peer) { p.secure("a.test") }, 60 * time.Second},
		{"after login", false, func(p *peer) {
			p.secure("a.test")
			p.send("%s", plain("alice"))
			p.want("<success *")
			p.header("to='a.test'")
		}, 60 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, "")
				begin := time.Now()
				client, server := net.Pipe()
				r.srv.accept(server, c.direct)
				p := r.peer(client)
				p.patience = time.Hour
				c.script(p)
				p.c.SetReadDeadline(time.Now().Add(time.Hour))
				b, _ := io.ReadAll(p.c)
				if took := time.Since(begin); took < c.within || took > c.within+3*time.Second {
					t.Errorf("ended after %v with %q", took, b)
				}
				p.c.Close()
			})
		})
	}
}
