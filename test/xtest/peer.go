package xtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Namespaces of streams between servers.
const (
	nsServer   = "jabber:server"
	nsDialback = "jabber:server:dialback"
	nsTLS      = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL     = "urn:ietf:params:xml:ns:xmpp-sasl"
	featureDB  = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
)

// PeerStream is one stream between another server and the server under test, in either role: what Client has, in the
// namespace of servers.
type PeerStream struct {
	*Client
	From, To string // the domains as the peer's header names them
	ID       string // of the stream, where the peer is the one who accepts it
}

// DialPeer connects to the port for servers, from a loopback address if one is given; from and to are what the stream's
// header will say.
func (s *Server) DialPeer(t testing.TB, from, to string, addr ...string) *PeerStream {
	t.Helper()
	c := s.dial(t, s.S2S, addr...)
	c.Name, c.Host, c.NS = "peer "+from, to, nsServer
	return &PeerStream{Client: c, From: from, To: to}
}

// Greet sends a stream header with further attributes, each after a space.
func (p *PeerStream) Greet(attrs string) {
	p.T.Helper()
	if p.From != "" {
		attrs += " from='" + p.From + "'"
	}
	if p.To != "" {
		attrs += " to='" + p.To + "'"
	}
	p.Send("%s", "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' "+
		"xmlns:stream='http://etherx.jabber.org/streams' version='1.0'"+attrs+">")
}

// Open sends a stream header and reads the server's and the features.
func (p *PeerStream) Open() *Node {
	p.T.Helper()
	p.Greet("")
	return p.ReadOpen()
}

// Secure opens the stream, negotiates TLS with a certificate, which may be nil, and opens it again.
func (p *PeerStream) Secure(cert *tls.Certificate) *Node {
	p.T.Helper()
	p.Open()
	p.Handshake(p.TLS(cert))
	return p.Open()
}

// TLS is the configuration of a peer that connects. The server's certificate is not verified: who dials back needs not.
func (p *PeerStream) TLS(cert *tls.Certificate) *tls.Config {
	cfg := &tls.Config{InsecureSkipVerify: true, ServerName: p.To}
	if cert != nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	return cfg
}

// External asks for SASL EXTERNAL with an authorisation identity and returns the answer. After success the stream is
// to be opened again.
func (p *PeerStream) External(authzid string) *Node {
	p.T.Helper()
	text := "="
	if authzid != "" {
		text = base64.StdEncoding.EncodeToString([]byte(authzid))
	}
	p.Send("<auth xmlns='%s' mechanism='EXTERNAL'>%s</auth>", nsSASL, text)
	n := p.Must()
	if n.Name.Local == "success" {
		p.Restart()
	}
	return n
}

// Result asks by dialback to be taken for a domain (XEP-0220 §2.1.1), and does not wait.
func (p *PeerStream) Result(from, to, key string) {
	p.T.Helper()
	p.Send("<db:result from='%s' to='%s'>%s</db:result>", from, to, key)
}

// Dialback asks to be taken for From and returns the answer.
func (p *PeerStream) Dialback() *Node {
	p.T.Helper()
	p.Result(p.From, p.To, "key-of-"+p.From)
	return p.Must()
}

// Direct connects to the port of direct TLS for servers (XEP-0368), up to the handshake.
func (s *Server) Direct(t testing.TB, from, to string, cfg *tls.Config) (*PeerStream, error) {
	t.Helper()
	c := s.dial(t, s.S2STLS)
	c.Name, c.Host, c.NS = "peer "+from, to, nsServer
	tc := tls.Client(c.Conn, cfg)
	tc.SetDeadline(time.Now().Add(Wait))
	if err := tc.Handshake(); err != nil {
		return nil, err
	}
	c.use(tc)
	return &PeerStream{Client: c, From: from, To: to}, nil
}

// Authenticated connects and is taken for the domain by its certificate.
func (s *Server) Authenticated(t testing.TB, from, to string, cert *tls.Certificate) *PeerStream {
	t.Helper()
	p := s.DialPeer(t, from, to)
	if f := p.Secure(cert); !slices.Contains(Mechanisms(f), "EXTERNAL") {
		t.Fatalf("%s is not offered EXTERNAL: %s", from, f)
	}
	if n := p.External(from); n.Name.Local != "success" {
		t.Fatalf("%s: %s", from, n)
	}
	p.Open()
	return p
}

// Mechanisms are those that features offer.
func Mechanisms(features *Node) (list []string) {
	if m := features.Child("mechanisms"); m != nil {
		for _, c := range m.Children {
			list = append(list, c.Text)
		}
	}
	return list
}

// Ping passes a barrier: the server has handled all that was sent before. The answer comes on a stream to From's server
// unless streams go both ways, so what is waited for is an answer that comes here: that to a db:verify of a key that is no
// key (XEP-0220 §2.3).
func (p *PeerStream) Ping() {
	p.T.Helper()
	p.pings++
	id := fmt.Sprintf("ping-%d", p.pings)
	p.Send("<db:verify from='%s' to='%s' id='%s'>none</db:verify>", p.From, p.To, id)
	for n := p.Must(); n.Name.Local != "verify" || n.Attr("id") != id; n = p.Must() {
	}
}

// PeerStanza is what a Peer has received, and how the server proved then who it is.
type PeerStanza struct {
	*Node
	How string // EXTERNAL, dialback or nothing
	TLS bool
}

// Peer is another server that listens, one for each domain. Unless told otherwise it is honest and generous: it offers
// STARTTLS, EXTERNAL and dialback, believes every key, vouches for every key of its own, and hands on what it receives. Pings
// of the server itself it does not answer: that would take a stream of its own.
type Peer struct {
	Domain string
	Addr   string
	Got    chan PeerStanza

	o       PeerOptions
	t       testing.TB
	running sync.WaitGroup
	mu      sync.Mutex
	conns   map[net.Conn]bool
	count   int      // connections there were
	asked   []string // db:verify: "from to id key"
}

// PeerOptions are how a Peer differs from an honest one.
type PeerOptions struct {
	Addr       string           // where it listens, a free port of 127.0.0.1 where empty
	Cert       *tls.Certificate // what it shows
	NoTLS      bool
	Roots      *x509.CertPool // where not nil, EXTERNAL is offered to those whom it vouches for alone
	Require    bool           // TLS is required
	NoExternal bool           // offers dialback alone
	NoDialback bool           // offers EXTERNAL alone
	Direct     bool           // direct TLS
	ALPN       []string
	// Verify is the answer to db:verify: its type; "-" is none at all. Nil: valid.
	Verify func(n *Node) string
	TLS    func(*tls.Config)
	// Raw takes over a connection, before a byte is read.
	Raw func(nc net.Conn)
	// Features takes over the features' content.
	Features func(secure bool, offered string) string
	// On takes over an element: what it returns is sent, and true says that the rest is not done.
	On func(st *PeerStream, n *Node) bool
}

// NewPeer starts a peer; the test's end stops it.
func NewPeer(t testing.TB, domain string, o PeerOptions) *Peer {
	t.Helper()
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", o.Addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &Peer{Domain: domain, Addr: l.Addr().String(), Got: make(chan PeerStanza, 10000), o: o, t: t, conns: map[net.Conn]bool{}}
	p.running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns[nc] = true
			p.count++
			p.mu.Unlock()
			p.running.Go(func() { p.serve(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.Hangup()
		p.running.Wait()
	})
	return p
}

// Hangup closes all connections.
func (p *Peer) Hangup() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for nc := range p.conns {
		nc.Close()
	}
}

// Connections is how many there have been.
func (p *Peer) Connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// Asked lists the db:verify requests there were: from, to, id and key.
func (p *Peer) Asked() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked)
}

// Next waits for a stanza.
func (p *Peer) Next(t testing.TB) PeerStanza {
	t.Helper()
	select {
	case s := <-p.Got:
		return s
	case <-time.After(Wait):
		t.Fatalf("%s: nothing came", p.Domain)
		return PeerStanza{}
	}
}

// Message waits for a message with a body and returns both.
func (p *Peer) Message(t testing.TB) (PeerStanza, string) {
	t.Helper()
	for {
		if s := p.Next(t); s.Name.Local == "message" && s.Child("body") != nil {
			return s, s.Child("body").Text
		}
	}
}

// serve is one connection of the server under test.
func (p *Peer) serve(nc net.Conn) {
	defer func() {
		nc.Close()
		p.mu.Lock()
		delete(p.conns, nc)
		p.mu.Unlock()
	}()
	if p.o.Raw != nil {
		p.o.Raw(nc)
		return
	}
	st := &PeerStream{Client: &Client{T: p.t, Name: p.Domain, NS: nsServer}, From: p.Domain}
	secure, how, ids := false, "", 0
	if p.o.Direct {
		nc, secure = p.handshake(nc), true
		if nc == nil {
			return
		}
	}
	st.use(nc)
	for {
		n, err := st.next(10 * time.Minute)
		if err != nil {
			return
		}
		if p.o.On != nil && p.o.On(st, n) {
			continue
		}
		switch key := n.Name.Space + " " + n.Name.Local; {
		case n.Name.Local == "stream":
			if st.To = n.Attr("from"); st.To == "" {
				st.To = "nobody.invalid"
			}
			ids++
			st.ID = fmt.Sprintf("%s-%p-%d", p.Domain, st, ids)
			db := " xmlns:db='jabber:server:dialback'"
			if p.o.NoDialback {
				db = ""
			}
			st.TrySend(fmt.Sprintf("<?xml version='1.0'?><stream:stream xmlns='jabber:server'%s xmlns:stream='http://etherx.jabber.org/streams' "+
				"version='1.0' from='%s' to='%s' id='%s'><stream:features>%s</stream:features>", db, p.Domain, st.To, st.ID, p.features(st, secure, how)))
		case key == nsTLS+" starttls" && !p.o.NoTLS:
			st.TrySend("<proceed xmlns='" + nsTLS + "'/>")
			tc := p.handshake(st.Conn)
			if tc == nil {
				return
			}
			st.use(tc)
			secure = true
		case key == nsSASL+" auth":
			st.TrySend("<success xmlns='" + nsSASL + "'/>")
			st.Restart()
			how = "EXTERNAL"
		case key == nsDialback+" result" && n.Attr("type") == "":
			if how == "" {
				how = "dialback"
			}
			st.TrySend(fmt.Sprintf("<db:result from='%s' to='%s' type='valid'/>", n.Attr("to"), n.Attr("from")))
		case key == nsDialback+" verify" && n.Attr("type") == "":
			p.mu.Lock()
			p.asked = append(p.asked, strings.Join([]string{n.Attr("from"), n.Attr("to"), n.Attr("id"), n.Text}, " "))
			p.mu.Unlock()
			answer := "valid"
			if p.o.Verify != nil {
				answer = p.o.Verify(n)
			}
			if answer != "-" {
				st.TrySend(fmt.Sprintf("<db:verify from='%s' to='%s' id='%s' type='%s'/>", n.Attr("to"), n.Attr("from"), n.Attr("id"), answer))
			}
		case n.Name.Local == "iq" && n.Child("ping") != nil && n.Attr("from") == st.To: // the server's own, no user's
		case n.Name.Space == nsServer:
			p.Got <- PeerStanza{n, how, secure}
		}
	}
}

func (p *Peer) features(st *PeerStream, secure bool, how string) string {
	var f string
	if !p.o.NoTLS && !secure {
		f += "<starttls xmlns='" + nsTLS + "'>"
		if p.o.Require {
			f += "<required/>"
		}
		f += "</starttls>"
	}
	if secure && how == "" && !p.o.NoExternal && p.trusts(st) {
		f += "<mechanisms xmlns='" + nsSASL + "'><mechanism>EXTERNAL</mechanism></mechanisms>"
	}
	if !p.o.NoDialback && (!p.o.Require || secure) {
		f += featureDB
	}
	if p.o.Features != nil {
		f = p.o.Features(secure, f)
	}
	return f
}

// trusts judges the certificate of the server under test, by what crypto/x509 does by itself.
func (p *Peer) trusts(st *PeerStream) bool {
	if p.o.Roots == nil {
		return true
	}
	certs := st.Conn.(*tls.Conn).ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return false
	}
	between := x509.NewCertPool()
	for _, c := range certs[1:] {
		between.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{DNSName: st.To, Roots: p.o.Roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

func (p *Peer) handshake(nc net.Conn) *tls.Conn {
	cfg := &tls.Config{Certificates: []tls.Certificate{*p.o.Cert}, ClientAuth: tls.RequestClientCert, NextProtos: p.o.ALPN}
	if p.o.TLS != nil {
		p.o.TLS(cfg)
	}
	tc := tls.Server(nc, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), Wait)
	defer cancel()
	if tc.HandshakeContext(ctx) != nil {
		return nil
	}
	return tc
}
