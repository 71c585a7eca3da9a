package s2s

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"net"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
)

// world is where servers of a test find each other: by name, over pipes or loopback.
type world struct {
	t  testing.TB
	ca *signer

	mu    sync.Mutex
	doors map[string]func() (net.Conn, error) // by domain
	dials map[string]int
}

func newWorld(t testing.TB) *world {
	return &world{t: t, ca: issue(t, nil, authority("the authority")), doors: map[string]func() (net.Conn, error){}, dials: map[string]int{}}
}

// Dial implements Finder.
func (w *world) Dial(ctx context.Context, domain string, skip func(Target) bool) (*Dialed, error) {
	w.mu.Lock()
	door := w.doors[domain]
	w.dials[domain]++
	w.mu.Unlock()
	target := Target{Host: domain, Port: 5269}
	switch {
	case door == nil:
		return nil, ErrNoServer
	case skip(target):
		return nil, ErrSkipped
	}
	c, err := door()
	if err != nil {
		return nil, err
	}
	return &Dialed{Conn: c, Target: target}, nil
}

// open says where a domain's server is.
func (w *world) open(domain string, door func() (net.Conn, error)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doors[domain] = door
}

func (w *world) dialed(domain string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dials[domain]
}

// certificate makes one of the authority for names.
func (w *world) certificate(names ...string) *tls.Certificate {
	s := issue(w.t, w.ca, server(names...))
	return &tls.Certificate{Certificate: [][]byte{s.cert.Raw}, PrivateKey: s.key, Leaf: s.cert}
}

// rig is one server of ours, with the real router and a module that keeps what arrives.
type rig struct {
	t      testing.TB
	w      *world
	srv    *Server
	cfg    *config.Config
	router *router.Router
	log    *logBuffer
	cert   *tls.Certificate
	verify *Verifier
	inbox  *inbox
}

// insecure is a configuration that asks for neither TLS nor certificates.
const insecure = "[s2s]\nrequire_encryption = false\nsecure_auth = false\n"

// newRig starts a server for a host, in a world. text is a configuration without [general].
func (w *world) newRig(host, text string) *rig {
	w.t.Helper()
	r := &rig{t: w.t, w: w, log: &logBuffer{}, inbox: &inbox{}, cert: w.certificate(host)}
	r.cfg = r.parse(host, text)
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	peers := &late{}
	r.router = router.New(router.Options{Accounts: func(string) router.Accounts { return nil }, Peers: peers, Log: log})
	loader := modules.NewLoader([]modules.Info{r.inbox.info()}, modules.Env{Log: log, Router: r.router, Publish: r.router.Publish})
	if err := loader.Load(context.Background(), r.cfg); err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(w.ca.cert)
	var err error
	if r.verify, err = NewVerifier(VerifierOptions{Roots: roots}); err != nil {
		w.t.Fatal(err)
	}
	r.srv = New(Options{
		Config: r.cfg, Router: r.router, Dialer: w, Verifier: r.verify, Log: log,
		Secret: func(string) []byte { return []byte("the secret of " + host) },
		TLS: func(string, bool) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{*r.cert}, ClientAuth: tls.RequestClientCert, SessionTicketsDisabled: true}
		},
		ClientTLS: func(_, remote string, _ bool) *tls.Config {
			return &tls.Config{Certificates: []tls.Certificate{*r.cert}, ServerName: remote, InsecureSkipVerify: true}
		},
	})
	peers.Server = r.srv
	w.open(host, r.connect)
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.srv.Shutdown(ctx); err != nil {
			w.t.Errorf("shutdown: %v", err)
		}
		if n := r.srv.Stats().Panics; n != 0 {
			w.t.Errorf("%d panics:\n%s", n, r.log)
		}
		if n := r.srv.Stats(); n.In+n.Out > 0 {
			w.t.Errorf("streams are left: %+v", n)
		}
		loader.Stop(context.Background())
	})
	return r
}

func (r *rig) parse(host, text string) *config.Config {
	r.t.Helper()
	text = fmt.Sprintf("[general]\nhosts = [%q]\n%s\n[modules.mod_inbox]\n", host, text)
	cfg, err := config.Parse("config.toml", []byte(text), []config.Section{r.inbox.info().Section})
	if err != nil {
		r.t.Fatal(err)
	}
	return cfg
}

// connect opens a connection to the server, over a pipe: it fits tests of time.
func (r *rig) connect() (net.Conn, error) {
	c, s := net.Pipe()
	r.srv.accept(s, false)
	return c, nil
}

// late is the router's way to a server that is made after it.
type late struct{ *Server }

// inbox is a module that keeps what arrives at the host and its accounts.
type inbox struct {
	mu     sync.Mutex
	got    []string
	peers  int    // stanzas that FromPeer has seen
	refuse error  // what FromPeer says
	take   func() // where set, is called for what arrives, which is not kept
}

func (b *inbox) info() modules.Info {
	return modules.Define(modules.Info{Name: "mod_inbox"}, struct{}{}, func(struct{}) modules.Module { return b })
}

// Start implements modules.Module.
func (b *inbox) Start(_ context.Context, h *modules.Host) error {
	h.Hooks.FromPeer.On(modules.Check, func(context.Context, *modules.Packet) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.peers++
		return b.refuse
	})
	keep := func(_ context.Context, p *modules.Packet) error {
		if b.take != nil {
			b.take()
			return modules.Done
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got = append(b.got, string(p.Stanza.AppendTo(nil)))
		return modules.Done
	}
	h.Hooks.ToBare.On(modules.Check, keep)
	h.Hooks.ToFull.On(modules.Check, keep)
	h.Serve("rooms."+h.Name, func(ctx context.Context, p *modules.Packet) { keep(ctx, p) })
	return nil
}

// Stop implements modules.Module.
func (b *inbox) Stop(context.Context) error { return nil }

func (b *inbox) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

func (b *inbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = nil
}

// wait waits until n stanzas have arrived and returns all.
func (b *inbox) wait(t testing.TB, n int) []string {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		got := b.all()
		if len(got) >= n {
			return got
		}
		if !time.Now().Before(end) {
			t.Fatalf("%d arrived, want %d: %q", len(got), n, got)
		}
	}
}

// send has an account of the rig's say something to somebody elsewhere.
func (r *rig) send(from, to, body string) {
	r.t.Helper()
	st, err := stanza.Parse([]byte(fmt.Sprintf("<message from='%s' to='%s' id='%s'><body>%s</body></message>", from, to, body, body)))
	if err != nil {
		r.t.Fatal(err)
	}
	r.router.Route(context.Background(), modules.NewPacket(st))
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *logBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

// peer is the other side of a stream, spoken by the test. It reads with encoding/xml, which knows nothing of ours.
type peer struct {
	t    testing.TB
	c    net.Conn
	dec  *xml.Decoder
	tee  *teeReader
	id   string // of the server's last header
	last string // the header
}

// teeReader keeps what was read, so that an element can be shown as it arrived.
type teeReader struct {
	r io.Reader
	b []byte
}

func (r *teeReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.b = append(r.b, p[:n]...)
	return n, err
}

// stranger connects to the server as somebody else's.
func (r *rig) stranger() *peer {
	r.t.Helper()
	c, _ := r.connect()
	return newPeer(r.t, c)
}

func newPeer(t testing.TB, c net.Conn) *peer {
	t.Cleanup(func() { c.Close() })
	p := &peer{t: t, c: c}
	p.fresh()
	return p
}

// fresh begins a new stream.
func (p *peer) fresh() {
	p.tee = &teeReader{r: p.c}
	p.dec = xml.NewDecoder(p.tee)
}

const header = "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' " +
	"xmlns:db='jabber:server:dialback' version='1.0' "

func (p *peer) send(format string, args ...any) {
	p.t.Helper()
	s := format
	if len(args) > 0 {
		s = fmt.Sprintf(format, args...)
	}
	p.c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(p.c, s); err != nil {
		p.t.Fatalf("send %s: %v", s, err)
	}
}

// next returns the next thing that the server sent: "<stream:stream …>" for a header, an element as it arrived,
// "</stream:stream>", or "" for the end of the connection.
func (p *peer) next() string {
	p.t.Helper()
	p.c.SetReadDeadline(time.Now().Add(time.Hour)) // of the test's clock
	depth, start := 0, int64(0)
	for {
		before := p.dec.InputOffset()
		tok, err := p.dec.RawToken()
		if err != nil {
			return ""
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if tok.Name.Space == "stream" && tok.Name.Local == "stream" {
				for _, a := range tok.Attr {
					if a.Name.Space == "" && a.Name.Local == "id" {
						p.id = a.Value
					}
				}
				p.last = p.cut(before)
				return p.last
			}
			if depth == 0 {
				start = before
			}
			depth++
		case xml.EndElement:
			if depth == 0 {
				return p.cut(before)
			}
			if depth--; depth == 0 {
				return p.cut(start)
			}
		}
	}
}

// pinged returns the id of a ping from a.test to b.test; empty: it is something else.
func pinged(s string) string {
	if m := aPing.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

var aPing = regexp.MustCompile("^<iq type='get' from='a.test' to='b.test' id='([^']+)'><ping xmlns='urn:xmpp:ping'/></iq>$")

func (p *peer) cut(from int64) string { return string(p.tee.b[from:p.dec.InputOffset()]) }

// want reads the next thing and compares it with a pattern, in which * stands for anything.
func (p *peer) want(pattern string) string {
	p.t.Helper()
	got := p.next()
	if !like(pattern, got) {
		p.t.Fatalf("got  %s\nwant %s", got, pattern)
	}
	return got
}

func like(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(s)
}

// header opens a stream and returns the features.
func (p *peer) header(attrs string) string {
	p.t.Helper()
	p.fresh()
	p.send("%s%s>", header, attrs)
	p.want("<stream:stream *>")
	return p.want("<stream:features>*</stream:features>")
}

// fails expects a stream error and the end.
func (p *peer) fails(condition string) string {
	p.t.Helper()
	s := p.want("<stream:error><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>*</stream:error>")
	p.ends()
	return s
}

// ends expects the end of stream and connection.
func (p *peer) ends() {
	p.t.Helper()
	p.want("</stream:stream>")
	p.c.Close()
}

// secure brings TLS up as the client, with a certificate or none.
func (p *peer) secure(cert *tls.Certificate) {
	p.t.Helper()
	p.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	p.want("<proceed *")
	cfg := &tls.Config{InsecureSkipVerify: true}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	tc := tls.Client(p.c, cfg)
	if err := tc.Handshake(); err != nil {
		p.t.Fatal(err)
	}
	p.c = tc
}

// external logs in by certificate.
func (p *peer) external(data string) {
	p.t.Helper()
	p.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>%s</auth>", data)
}

// admitted is a peer that has proved by certificate to be b.test, at a rig that is a.test.
func (r *rig) admitted(before string) *peer {
	r.t.Helper()
	return r.admittedAs("b.test", before)
}

func (r *rig) admittedAs(domain, before string) *peer {
	r.t.Helper()
	p := r.stranger()
	ends := "to='a.test' from='" + domain + "'"
	p.header(ends)
	p.secure(r.w.certificate(domain))
	p.header(ends)
	if before != "" {
		p.send("%s", before)
	}
	p.external("=")
	p.want("<success *")
	p.header(ends)
	return p
}
