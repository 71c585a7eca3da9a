package xtest

import (
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Marker is for bodies of messages: what is between people must not be in the log.
const Marker = "between-you-and-me"

// Target is a server under attack by mallory@HOST. Beside the attacker there are a victim, whom nothing of an attack may
// reach, and a bystander, who must be served all along.
type Target struct {
	*Server
	Victim    *Client // bob@HOST/desk
	Bystander *Client // carol@HOST/phone
	seen      int     // how much of the log has been looked at
}

// NewTarget starts a server with the three accounts on its first host, and alice on all hosts. Unless the options say
// otherwise it has neither rates nor limits of numbers, and weak SCRAM keys, for hundreds of logins in a second.
func NewTarget(t testing.TB, o Options) *Target {
	t.Helper()
	if o.Limits == "" {
		o.Limits = "profile = \"off\"\nresources_per_account = 1000"
	}
	if !strings.Contains(o.Extra, "[auth]") {
		o.Extra += "\n[auth]\nscram_hashes = [\"SHA-1\"]\n"
	}
	g := &Target{Server: New(t, o)}
	host := g.Hosts[0]
	jids := []string{"bob@" + host, "carol@" + host, "mallory@" + host}
	for _, h := range g.Hosts {
		jids = append(jids, "alice@"+h)
	}
	g.AddUsers(jids...)
	g.Victim = g.Online(t, "bob@"+host+"/desk")
	g.Bystander = g.Online(t, "carol@"+host+"/phone")
	return g
}

// Run runs one attack as a subtest. After it the bystander must still be served, and the log be clean.
func (g *Target) Run(t *testing.T, name string, attack func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Helper()
		defer g.As(t)()
		attack(t)
		g.Alive(t)
	})
}

// As lets the victim and the bystander speak for a subtest until undo is called.
func (g *Target) As(t testing.TB) (undo func()) {
	victim, bystander := g.Victim.T, g.Bystander.T
	g.Victim.T, g.Bystander.T = t, t
	return func() { g.Victim.T, g.Bystander.T = victim, bystander }
}

// Attacker connects mallory in one of the states raw (TCP, no stream), open (a stream in clear), tls (the stream after
// STARTTLS) and ok (a bound session).
func (g *Target) Attacker(t testing.TB, state string) *Client {
	t.Helper()
	var c *Client
	switch state {
	case "raw":
		c = g.Dial(t)
	case "open":
		c = g.Dial(t)
		c.Open()
	case "tls":
		c = g.Secure(t, g.Hosts[0])
	case "ok":
		return g.Login(t, "mallory@"+g.Hosts[0])
	default:
		t.Fatalf("no state %q", state)
	}
	c.Name = "mallory"
	return c
}

// Alive fails the test unless the bystander is served and the log is clean.
func (g *Target) Alive(t testing.TB) {
	t.Helper()
	defer g.As(t)()
	g.Bystander.Barrier()
	log := g.Log()
	if bad := badLog(log[g.seen:]); bad != "" {
		t.Errorf("the log has %s:\n%s", bad, tail(log[g.seen:]))
	}
	g.seen = len(log)
}

// Untouched fails the test if anything has reached the victim. The attacker's stream must have ended, or have passed a
// barrier.
func (g *Target) Untouched(t testing.TB) {
	t.Helper()
	defer g.As(t)()
	if got := g.Victim.Barrier(); len(got) > 0 {
		t.Errorf("the victim got %s", got)
	}
}

// badLog names what must never be in a log, or returns "".
func badLog(log string) string {
	for _, bad := range []string{"DATA RACE", "panic", "\"BUG", "goroutine 1 ["} {
		if strings.Contains(log, bad) {
			return bad
		}
	}
	for _, secret := range []string{Password, Marker} {
		if strings.Contains(log, secret) {
			return "the secret " + secret
		}
	}
	// The password in base64, at whatever offset.
	for skip := range 3 {
		enc := base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\x00", skip) + Password))
		if strings.Contains(log, enc[4:len(enc)-4]) {
			return "the password in base64"
		}
	}
	return ""
}

// insides are what a text for the peer must not tell: Go's error strings, source, paths, versions of software, SQL.
var insides = regexp.MustCompile(`\.go\b|goroutine|runtime|panic|0x[0-9a-f]{4}|nil pointer|EOF|i/o timeout|use of closed|` +
	`(^|[\s"'(])(/[a-z]+){2,}|\b\d+\.\d+\.\d+|github\.com|mellium|bbolt|\bbolt\b|` +
	`\b(xml|tls|x509|net|io|json|base64|strconv|stanza|stream|c2s|auth|router|modules|storage|sasl): |(?i:\b(select|insert|update|delete)\b.*\b(from|into|set)\b)`)

// Insides returns what an error's text tells of the server's insides, or "" (the texts of stream errors, stanza errors and
// SASL failures in n).
func Insides(n *Node) string {
	switch n.Name.Space {
	case "urn:ietf:params:xml:ns:xmpp-streams", "urn:ietf:params:xml:ns:xmpp-stanzas", "urn:ietf:params:xml:ns:xmpp-sasl", "urn:xmpp:sasl:2":
		if n.Name.Local == "text" {
			return insides.FindString(n.Text)
		}
	}
	for _, c := range n.Children {
		if found := Insides(c); found != "" {
			return found
		}
	}
	return ""
}

// WantClosed fails the test unless the server ends the stream and, when the client has too, the connection (RFC 6120 §4.4).
// It returns what the server still sent.
func (c *Client) WantClosed() []*Node {
	c.T.Helper()
	var got []*Node
	for {
		n, err := c.Next()
		if err == nil {
			got = append(got, n)
			continue
		}
		if !errors.Is(err, ErrEnd) {
			c.T.Fatalf("%s: wanted the connection closed: %v", c.Name, err)
		}
		break
	}
	c.TrySend("</stream:stream>")
	c.Conn.SetReadDeadline(time.Now().Add(Wait))
	for buf := make([]byte, 512); ; {
		if _, err := c.Conn.Read(buf); err != nil {
			if isTimeout(err) {
				c.T.Fatalf("%s: the stream has ended, the connection is still open", c.Name)
			}
			return got
		}
	}
}

func isTimeout(err error) bool {
	var ne interface{ Timeout() bool }
	return errors.As(err, &ne) && ne.Timeout()
}

// Record returns a function that returns the bytes that have arrived since. All that was sent before must have been read,
// as after a Barrier.
func (c *Client) Record() (since func() []byte) {
	from := len(c.in.all)
	c.in.keep = true
	return func() []byte { return c.in.all[from:] }
}

// WaitLog waits until the log has text behind an offset.
func (s *Server) WaitLog(t testing.TB, from int, text string) {
	t.Helper()
	for end := time.Now().Add(Wait); !strings.Contains(s.Log()[from:], text); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the log does not say %q:\n%s", text, tail(s.Log()[from:]))
		}
	}
}

// Buffer collects the output of a program while it runs.
type Buffer struct {
	mu   sync.Mutex
	b    strings.Builder
	seen int
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is all that was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Await waits until text was written behind what earlier calls have found. It gives up after Wait, and when the program has
// ended.
func (b *Buffer) Await(text string, ended <-chan struct{}) bool {
	for end := time.Now().Add(Wait); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		over := false
		select {
		case <-ended:
			over = true
		default:
		}
		if i := strings.Index(b.String()[b.seen:], text); i >= 0 {
			b.seen += i + len(text)
			return true
		}
		if over {
			return false
		}
	}
	return false
}
