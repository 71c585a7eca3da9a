package c2s

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage/memory"
	"github.com/xmppd/xmppd/stream"
)

// rig is a server with the real router, loader and accounts on a store in memory, and two hosts, a.test and b.test.
type rig struct {
	t        testing.TB
	srv      *Server
	cfg      *config.Config
	router   *router.Router
	accounts *auth.Accounts
	throttle *auth.Throttle
	watch    *watcher
	log      *logBuffer
	addr     string
	direct   string
}

const password = "correct horse"

// noTLS is a configuration that needs no TLS.
const noTLS = "[c2s]\nrequire_encryption = false\nallow_unencrypted_plain_auth = true\n"

// newRig starts one. toml is a configuration without [general].
func newRig(t testing.TB, toml string, infos ...modules.Info) *rig {
	t.Helper()
	return newWatched(t, toml, &watcher{}, infos...)
}

func newWatched(t testing.TB, toml string, w *watcher, infos ...modules.Info) *rig {
	t.Helper()
	r := &rig{t: t, log: &logBuffer{}, watch: w}
	infos = append(infos, r.watch.info())
	for _, in := range infos {
		toml += "\n[modules." + in.Name + "]\n"
	}
	toml = "[general]\nhosts = [\"a.test\", \"b.test\"]\n" + toml
	var sections []config.Section
	for _, in := range infos {
		sections = append(sections, in.Section)
	}
	cfg, err := config.Parse("config.toml", []byte(toml), sections)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg = cfg
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store := memory.New()
	r.accounts = auth.NewAccounts(store, auth.Options{Iterations: 1000, Hashes: []string{"SHA-1", "SHA-256"}})
	r.router = router.New(router.Options{
		Accounts: func(host string) router.Accounts {
			if r.users(host) == nil {
				return nil
			}
			return r.users(host)
		},
		Log: log,
	})
	loader := modules.NewLoader(infos, modules.Env{
		Log: log, Router: r.router, Store: store, Users: r.users, Core: r.accounts.Mechanisms, Publish: r.router.Publish,
	})
	if err := loader.Load(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	l := cfg.Limits.Effective()
	r.throttle = auth.NewThrottle(auth.ThrottleLimits{
		PerMinute: l.AuthFailsPerMinute, PerDay: l.AuthFailsPerDay,
		Delay: time.Duration(l.AuthDelay), DelayMax: time.Duration(l.AuthDelayMax),
	})
	certs := map[string]*tls.Certificate{}
	for _, h := range cfg.General.Hosts {
		certs[h] = certificate(t, h)
	}
	choose := func(host string, direct bool) *tls.Config {
		c := &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			if cert := certs[hello.ServerName]; cert != nil {
				return cert, nil
			}
			if cert := certs[host]; cert != nil {
				return cert, nil
			}
			return certs["a.test"], nil
		}}
		if direct {
			c.NextProtos = []string{"xmpp-client"}
		}
		return c
	}
	r.srv = New(Options{
		Poller: poller(t), Config: cfg, Router: r.router, Users: r.users, Throttle: r.throttle, TLS: choose, Log: log,
		Secret: func(string) []byte { return make([]byte, 32) },
	})
	for _, u := range []string{"alice@a.test", "bob@a.test", "alice@b.test"} {
		j := stanza.MustJID(u)
		if err := r.users(j.Domain()).Create(context.Background(), j.Local(), password); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.srv.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if n := r.srv.Stats().Panics; n != 0 && !r.watch.mayPanic {
			t.Errorf("%d panics:\n%s", n, r.log)
		}
		loader.Stop(context.Background())
	})
	return r
}

// transport is the transport of connections that are no pipes: goroutine, or epoll.
var transport = os.Getenv("XMPPD_TEST_TRANSPORT")

// poller makes one where the transport has it.
func poller(t testing.TB) *stream.Poller {
	t.Helper()
	if transport != "epoll" {
		return nil
	}
	p, err := stream.NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// TestEpoll runs the tests of this package once more, on the other transport.
func TestEpoll(t *testing.T) {
	if runtime.GOOS != "linux" || transport != "" {
		t.Skip("this is Linux's other transport")
	}
	cmd := exec.Command(os.Args[0], "-test.timeout=5m", "-test.short="+strconv.FormatBool(testing.Short()))
	cmd.Env = append(os.Environ(), "XMPPD_TEST_TRANSPORT=epoll")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func (r *rig) users(host string) auth.Users {
	if !slices.Contains(r.cfg.General.Hosts, host) {
		return nil
	}
	return r.accounts.Host(host)
}

// listen serves on loopback.
func (r *rig) listen() {
	r.t.Helper()
	for _, direct := range []bool{false, true} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			r.t.Fatal(err)
		}
		go r.srv.Serve(l, direct)
		if direct {
			r.direct = l.Addr().String()
		} else {
			r.addr = l.Addr().String()
		}
	}
}

// certificate makes a self-signed one.
func certificate(t testing.TB, host string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// watcher is a module that notes what the hooks tell, and lets a test step in.
type watcher struct {
	mu       sync.Mutex
	events   []string
	outgoing func(context.Context, *modules.Packet) error
	toClient func(context.Context, *modules.Packet) error
	opened   func(context.Context, modules.Session)
	gone     func(context.Context, modules.Presence) // unavailable
	kept     []string                                // what Unclaimed took
	mayPanic bool
	mute     bool // the hooks of each stanza are left alone
	leave    bool // messages that nobody takes are left to others
}

func (w *watcher) info() modules.Info {
	return modules.Define(modules.Info{Name: "mod_watch"}, struct{}{}, func(struct{}) modules.Module { return w })
}

func (w *watcher) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, fmt.Sprintf(format, args...))
}

// Start implements modules.Module.
func (w *watcher) Start(_ context.Context, h *modules.Host) error {
	if !w.mute {
		h.Hooks.Outgoing.On(modules.Amend, w.call(&w.outgoing))
		h.Hooks.ToClient.On(modules.Check, w.call(&w.toClient))
	}
	h.Hooks.Unclaimed.On(modules.Check, func(_ context.Context, p *modules.Packet) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.leave {
			return nil
		}
		w.kept = append(w.kept, string(p.Stanza.AppendTo(nil)))
		return modules.Done
	})
	h.Hooks.Presence.On(modules.Watch, func(ctx context.Context, p modules.Presence) {
		if fn := get(w, &w.gone); fn != nil && p.Stanza.Type == stanza.TypeUnavailable {
			fn(ctx, p)
		}
		w.note("presence %s %s was=%t", p.Session.JID(), p.Stanza.Type, p.Was != nil)
	})
	h.Hooks.SessionOpened.On(modules.Watch, func(ctx context.Context, s modules.Session) {
		w.note("opened %s", s.JID())
		if fn := get(w, &w.opened); fn != nil {
			fn(ctx, s)
		}
	})
	h.Hooks.SessionHibernated.On(modules.Watch, func(_ context.Context, s modules.Session) {
		w.note("hibernated %s unacked=%d %t", s.JID(), s.Info().Unacked, s.Hibernated())
	})
	h.Hooks.SessionResumed.On(modules.Watch, func(_ context.Context, s modules.Session) { w.note("resumed %s", s.JID()) })
	h.Hooks.SessionClosed.On(modules.Watch, func(_ context.Context, s modules.Session) { w.note("closed %s", s.JID()) })
	h.IQ(modules.Server, "urn:test", func(context.Context, *modules.IQ) ([]byte, error) { return []byte("<pong xmlns='urn:test'/>"), nil })
	h.IQ(modules.Account, "urn:test", func(context.Context, *modules.IQ) ([]byte, error) { return nil, nil })
	h.IQ(modules.Preauth, "urn:test", func(_ context.Context, q *modules.IQ) ([]byte, error) {
		if q.Set() {
			return nil, stanza.Err(stanza.NotAcceptable, "")
		}
		return []byte("<hello xmlns='urn:test' host='" + q.Conn.Host + "'/>"), nil
	})
	return nil
}

// call runs the handler that a test has set, if it has.
func (w *watcher) call(fn *func(context.Context, *modules.Packet) error) func(context.Context, *modules.Packet) error {
	return func(ctx context.Context, p *modules.Packet) error {
		if fn := get(w, fn); fn != nil {
			return fn(ctx, p)
		}
		return nil
	}
}

// Stop implements modules.Module.
func (w *watcher) Stop(context.Context) error { return nil }

func get[T any](w *watcher, p *T) T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *p
}

func set[T any](w *watcher, p *T, v T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*p = v
}

func (w *watcher) seen() []string { return slices.Clone(get(w, &w.events)) }

// until waits for an event.
func (w *watcher) until(t testing.TB, event string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if slices.Contains(w.seen(), event) {
			return
		}
	}
	t.Fatalf("no event %q in %q", event, w.seen())
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

// peer is the client side of a connection, spoken by the test. It reads with encoding/xml, which knows nothing of ours.
type peer struct {
	t   testing.TB
	c   net.Conn
	dec *xml.Decoder
	tee *teeReader
	id  string // of the server's last header
	// patience is how long next waits.
	patience time.Duration
}

// teeReader keeps what was read, so that an element can be shown as it arrived.
type teeReader struct {
	r   io.Reader
	b   []byte
	off int64 // of b[0]
}

func (r *teeReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.b = append(r.b, p[:n]...)
	return n, err
}

func (r *rig) dial() *peer {
	r.t.Helper()
	if r.addr == "" {
		r.listen()
	}
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.peer(c)
}

// pipe connects without a network, for tests of time.
func (r *rig) pipe() *peer {
	r.t.Helper()
	c, s := net.Pipe()
	r.srv.accept(s, false)
	return r.peer(c)
}

func (r *rig) peer(c net.Conn) *peer {
	r.t.Cleanup(func() { c.Close() })
	p := &peer{t: r.t, c: c, patience: 10 * time.Second}
	p.fresh()
	return p
}

// fresh begins a new stream.
func (p *peer) fresh() {
	p.tee = &teeReader{r: p.c}
	p.dec = xml.NewDecoder(p.tee)
}

const header = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' "

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
	p.c.SetReadDeadline(time.Now().Add(p.patience))
	depth, start := 0, int64(0)
	for {
		before := p.dec.InputOffset()
		tok, err := p.dec.RawToken()
		if err != nil {
			if err != io.EOF && strings.Contains(err.Error(), "timeout") {
				p.t.Fatalf("nothing came; had %q", p.tee.b)
			}
			return ""
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if tok.Name.Space == "stream" && tok.Name.Local == "stream" {
				for _, a := range tok.Attr {
					if a.Name.Local == "id" {
						p.id = a.Value
					}
				}
				return p.cut(before)
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

func (p *peer) cut(from int64) string {
	to := p.dec.InputOffset()
	return string(p.tee.b[from-p.tee.off : to-p.tee.off])
}

// want reads the next thing and compares it with a pattern, in which * stands for anything.
func (p *peer) want(pattern string) string {
	p.t.Helper()
	got := p.next()
	p.like(got, pattern)
	return got
}

func (p *peer) like(got, pattern string) {
	p.t.Helper()
	if !like(pattern, got) {
		p.t.Fatalf("got  %s\nwant %s", got, pattern)
	}
}

func like(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile("(?s)^" + strings.Join(parts, ".*") + "$").MatchString(s)
}

// talk runs a conversation: lines "C: …" are sent, lines "S: …" are patterns of what comes. A line of its own means a
// stream header to a.test, and the server's with its features.
func (p *peer) talk(script string) {
	p.t.Helper()
	for line := range strings.SplitSeq(strings.TrimSpace(script), "\n") {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case line == "header":
			p.header("to='a.test'")
		case strings.HasPrefix(line, "C: "):
			p.send("%s", line[3:])
		case strings.HasPrefix(line, "S: "):
			p.want(line[3:])
		case line == "closed":
			p.closed()
		default:
			p.t.Fatalf("what is %q?", line)
		}
	}
}

// header opens a stream and returns the features.
func (p *peer) header(attrs string) string {
	p.t.Helper()
	p.fresh()
	p.send("%s%s>", header, attrs)
	p.want("<stream:stream *>")
	return p.want("<stream:features>*</stream:features>")
}

// closed expects the end of stream and connection.
func (p *peer) closed() {
	p.t.Helper()
	p.want("</stream:stream>")
	p.c.Close()
}

// fails expects a stream error and the end.
func (p *peer) fails(condition string) string {
	p.t.Helper()
	s := p.next()
	if strings.HasPrefix(s, "<a xmlns='urn:xmpp:sm:3' h='") { // XEP-0198: what was handled so far
		s = p.next()
	}
	p.like(s, "<stream:error><"+condition+" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>*</stream:error>")
	p.closed()
	return s
}

func plain(user string) string {
	return "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" +
		base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+password)) + "</auth>"
}

// login brings a client to the point where it may bind.
func (p *peer) login(user string) {
	p.t.Helper()
	p.header("to='a.test'")
	p.send("%s", plain(user))
	p.want("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'></success>")
	p.header("to='a.test'")
}

func (p *peer) bind(resource string) string {
	p.t.Helper()
	p.send("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>%s</resource></bind></iq>", resource)
	s := p.want("<iq type='result' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>*</jid></bind></iq>")
	_, s, _ = strings.Cut(s, "<jid>")
	s, _, _ = strings.Cut(s, "</jid>")
	return s
}

// client is a client with a resource on an open connection.
func (r *rig) client(user, resource string) *peer {
	r.t.Helper()
	return r.bound(r.dial(), user, resource)
}

func (r *rig) bound(p *peer, user, resource string) *peer {
	r.t.Helper()
	p.login(user)
	if got := p.bind(resource); got != user+"@a.test/"+resource {
		r.t.Fatalf("bound %s", got)
	}
	return p
}

// quiet checks that nothing has come: the answer to a request is the next thing.
func (p *peer) quiet() {
	p.t.Helper()
	p.send("<iq type='get' id='quiet' to='a.test'><x xmlns='urn:test'/></iq>")
	p.want("<iq type='result' id='quiet' from='a.test' to='*'><pong xmlns='urn:test'/></iq>")
}
