package xtest

import (
	"crypto/tls"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"
)

// Client is one connection to the server. It reads with encoding/xml, on purpose not with the server's own scanner.
type Client struct {
	T       testing.TB
	Name    string // for messages
	S       *Server
	Conn    net.Conn
	Host    string
	NS      string // the default namespace of patterns, jabber:client where empty
	Header  *Node  // the server's stream header
	JID     string
	Ignore  func(*Node) bool // where set, says what is not handed on
	pending []*Node
	dec     *xml.Decoder
	in      *tap
	pings   int

	SMID    string // of the session, if it can be resumed (XEP-0198)
	Handled uint32 // how many stanzas the client has read since it switched stream management on
	managed bool
}

// tap keeps the last bytes that arrived, for messages of failed tests, and all of them where they are recorded.
type tap struct {
	r    io.Reader
	last []byte
	keep bool
	all  []byte
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.last = append(t.last, p[:n]...)
	if len(t.last) > 4000 {
		t.last = t.last[len(t.last)-4000:]
	}
	if t.keep {
		t.all = append(t.all, p[:n]...)
	}
	return n, err
}

// ReadByte is not offered, so that the decoder buffers by itself.

// Dial opens a TCP connection to the STARTTLS port, from a loopback address if one is given.
func (s *Server) Dial(t testing.TB, from ...string) *Client {
	t.Helper()
	return s.dial(t, s.C2S, from...)
}

func (s *Server) dial(t testing.TB, addr string, from ...string) *Client {
	t.Helper()
	d := net.Dialer{Timeout: Wait}
	if len(from) > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(from[0])}
	}
	nc, err := d.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{T: t, S: s, Host: s.Hosts[0], Name: "client"}
	c.use(nc)
	t.Cleanup(func() { c.Conn.Close() })
	return c
}

// DialDirect opens a TCP connection to the port of direct TLS, without a handshake.
func (s *Server) DialDirect(t testing.TB) *Client {
	t.Helper()
	return s.dial(t, s.C2STLS)
}

// Use goes on on another connection, such as TLS on top of the one there was.
func (c *Client) Use(nc net.Conn) { c.use(nc) }

// use reads from another connection from now on.
func (c *Client) use(nc net.Conn) {
	c.Conn = nc
	c.in = &tap{r: nc}
	c.dec = xml.NewDecoder(c.in)
}

// Send writes text as it is.
func (c *Client) Send(format string, args ...any) {
	c.T.Helper()
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	c.Conn.SetWriteDeadline(time.Now().Add(Wait))
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.T.Fatalf("%s: send: %v", c.Name, err)
	}
}

// TrySend is Send for connections that the server may have closed.
func (c *Client) TrySend(text string) error {
	c.Conn.SetWriteDeadline(time.Now().Add(Wait))
	_, err := io.WriteString(c.Conn, text)
	return err
}

// ErrEnd says that the server closed the stream or the connection.
var ErrEnd = errors.New("the stream ended")

// Next returns the next element, or ErrEnd.
func (c *Client) Next() (*Node, error) { return c.next(Wait) }

func (c *Client) next(wait time.Duration) (*Node, error) {
	if len(c.pending) > 0 {
		n := c.pending[0]
		c.pending = c.pending[1:]
		return n, nil
	}
	c.Conn.SetReadDeadline(time.Now().Add(wait))
	for {
		tok, err := c.dec.Token()
		if err != nil {
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				return nil, err
			}
			var se *xml.SyntaxError
			if errors.As(err, &se) && !strings.Contains(se.Msg, "unexpected EOF") {
				return nil, fmt.Errorf("the server sent bad XML: %v; the last bytes: %s", err, c.in.last)
			}
			return nil, ErrEnd
		}
		switch t := tok.(type) {
		case xml.StartElement:
			if t.Name.Local == "stream" {
				c.Header = &Node{Name: t.Name, Attrs: append([]xml.Attr(nil), t.Attr...)}
				return c.Header, nil
			}
			n, err := readNode(c.dec, t)
			if err != nil {
				return nil, fmt.Errorf("inside <%s>: %w", t.Name.Local, err)
			}
			if found := Insides(n); found != "" {
				c.T.Errorf("%s: a text for people tells %q: %s", c.Name, found, n)
			}
			if !c.count(n) || c.Ignore != nil && c.Ignore(n) {
				continue
			}
			return n, nil
		case xml.EndElement:
			return nil, ErrEnd
		}
	}
}

// Must returns the next element and fails the test without one.
func (c *Client) Must() *Node {
	c.T.Helper()
	n, err := c.Next()
	if err != nil {
		c.T.Fatalf("%s: %v (last bytes: %s)", c.Name, err, c.in.last)
	}
	return n
}

// Want reads one element and fails the test unless it fits the pattern (see Match).
func (c *Client) Want(pattern string, args ...any) *Node {
	c.T.Helper()
	if len(args) > 0 {
		pattern = fmt.Sprintf(pattern, args...)
	}
	want, err := c.Pattern(pattern)
	if err != nil {
		c.T.Fatalf("pattern: %v", err)
	}
	got := c.Must()
	if why := Match(want, got); why != "" {
		c.T.Fatalf("%s: %s\nwanted %s\ngot    %s", c.Name, why, pattern, got)
	}
	return got
}

// Pattern reads a pattern for Match in the client's namespace.
func (c *Client) Pattern(text string) (*Node, error) {
	ns := c.NS
	if ns == "" {
		ns = "jabber:client"
	}
	return ParseIn(ns, " xmlns:db='jabber:server:dialback'", text)
}

// WantEnd fails the test unless the server ends the stream now.
func (c *Client) WantEnd() {
	c.T.Helper()
	if n, err := c.Next(); err == nil {
		c.T.Fatalf("%s: wanted the end of the stream, got %s", c.Name, n)
	} else if !errors.Is(err, ErrEnd) {
		c.T.Fatalf("%s: wanted the end of the stream: %v", c.Name, err)
	}
}

// WantStreamError fails the test unless the server sends one of the stream errors and ends the stream. A stream header
// before it is allowed, and demanded where none was sent yet.
func (c *Client) WantStreamError(conditions ...string) *Node {
	c.T.Helper()
	for {
		n, err := c.Next()
		if err != nil {
			c.T.Fatalf("%s: wanted stream error %v: %v (last bytes: %s)", c.Name, conditions, err, c.in.last)
		}
		if n.Name.Local == "stream" || n.Name.Local == "features" {
			continue
		}
		if n.Name.Local != "error" || n.Name.Space != "http://etherx.jabber.org/streams" {
			continue // what was on its way before
		}
		for _, cond := range conditions {
			for _, ch := range n.Children {
				if ch.Name.Local == cond && ch.Name.Space == "urn:ietf:params:xml:ns:xmpp-streams" {
					c.WantEnd()
					return n
				}
			}
		}
		c.T.Fatalf("%s: wanted stream error %v, got %s", c.Name, conditions, n)
	}
}

// Barrier waits until the server has handled all that this client sent, and returns what arrived meanwhile.
func (c *Client) Barrier() []*Node {
	c.T.Helper()
	c.pings++
	id := fmt.Sprintf("barrier-%d", c.pings)
	c.Send("<iq type='get' id='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", id, c.Host)
	var got []*Node
	for {
		n := c.Must()
		if n.Name.Local == "iq" && n.Attr("id") == id {
			return got
		}
		got = append(got, n)
	}
}

// Unread puts elements back, to be read again.
func (c *Client) Unread(nodes []*Node) { c.pending = append(append([]*Node{}, nodes...), c.pending...) }

// Quiet fails the test if anything has arrived for the client. All the others that might have sent something must have
// passed a Barrier before.
func (c *Client) Quiet() {
	c.T.Helper()
	if got := c.Barrier(); len(got) > 0 {
		c.T.Fatalf("%s: wanted nothing, got %s", c.Name, got)
	}
}

// Open sends a stream header and reads the server's and the features.
func (c *Client) Open() *Node {
	c.T.Helper()
	return c.OpenWith("")
}

// OpenWith is Open with further attributes, each after a space.
func (c *Client) OpenWith(attrs string) *Node {
	c.T.Helper()
	c.Send("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='%s' version='1.0'%s>", c.Host, attrs)
	return c.ReadOpen()
}

// ReadOpen reads the server's stream header and features.
func (c *Client) ReadOpen() *Node {
	c.T.Helper()
	if n := c.Must(); n.Name.Local != "stream" {
		c.T.Fatalf("%s: wanted a stream header, got %s", c.Name, n)
	}
	f := c.Must()
	if f.Name.Local != "features" {
		c.T.Fatalf("%s: wanted features, got %s", c.Name, f)
	}
	return f
}

// TLSConfig verifies the server against its own certificate file.
func (c *Client) TLSConfig() *tls.Config {
	return &tls.Config{RootCAs: c.S.Roots(), ServerName: c.Host}
}

// StartTLS negotiates TLS on an open stream and returns the features after it.
func (c *Client) StartTLS(cfgs ...*tls.Config) *Node {
	c.T.Helper()
	if len(cfgs) == 0 {
		cfgs = append(cfgs, c.TLSConfig())
	}
	c.Handshake(cfgs[0])
	return c.Open()
}

// Handshake is StartTLS without opening the stream again.
func (c *Client) Handshake(cfg *tls.Config) {
	c.T.Helper()
	c.Send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	c.Want("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
	tc := tls.Client(c.Conn, cfg)
	tc.SetDeadline(time.Now().Add(Wait))
	if err := tc.Handshake(); err != nil {
		c.T.Fatalf("%s: TLS: %v", c.Name, err)
	}
	c.use(tc)
}

// Wrap puts something between the client and its connection, for what is written from now on.
func (c *Client) Wrap(fn func(net.Conn) net.Conn) { c.Conn = fn(c.Conn) }

// Restart makes ready for a new stream on the same connection, as after a login (RFC 6120 §6.4.6).
func (c *Client) Restart() { c.use(c.Conn) }

// DialTLS connects by direct TLS and opens a stream.
func (s *Server) DialTLS(t testing.TB, host string) *Client {
	t.Helper()
	c := s.dial(t, s.C2STLS)
	c.Host = host
	cfg := c.TLSConfig()
	cfg.NextProtos = []string{"xmpp-client"}
	tc := tls.Client(c.Conn, cfg)
	tc.SetDeadline(time.Now().Add(Wait))
	if err := tc.Handshake(); err != nil {
		t.Fatalf("direct TLS: %v", err)
	}
	c.use(tc)
	c.Open()
	return c
}

// Secure connects by STARTTLS up to the features under TLS.
func (s *Server) Secure(t testing.TB, host string, from ...string) *Client {
	t.Helper()
	c := s.Dial(t, from...)
	c.Host = host
	c.Open()
	c.StartTLS()
	return c
}

// B64 is base64 as SASL uses it.
func B64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// Auth logs in with SASL (RFC 6120 §6) and reopens the stream; it returns the features after login.
func (c *Client) Auth(mech sasl.Mechanism, user, password string) *Node {
	c.T.Helper()
	if n := c.TryAuth(mech, user, password); n.Name.Local != "success" {
		c.T.Fatalf("%s: login: %s", c.Name, n)
	}
	c.use(c.Conn) // the decoder's stream has ended
	return c.Open()
}

// TryAuth does one SASL exchange and returns the server's last word, <success/> or <failure/>.
func (c *Client) TryAuth(mech sasl.Mechanism, user, password string) *Node {
	c.T.Helper()
	opts := []sasl.Option{sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte(user), []byte(password), nil })}
	if tc, ok := c.Conn.(*tls.Conn); ok {
		opts = append(opts, sasl.TLSState(tc.ConnectionState()))
	}
	cl := sasl.NewClient(mech, opts...)
	_, resp, err := cl.Step(nil)
	if err != nil {
		c.T.Fatal(err)
	}
	c.Send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%s'>%s</auth>", mech.Name, base64.StdEncoding.EncodeToString(resp))
	for {
		n := c.Must()
		data, _ := base64.StdEncoding.DecodeString(n.Text)
		switch n.Name.Local {
		case "challenge":
			if _, resp, err = cl.Step(data); err != nil {
				c.T.Fatalf("%s: %v", c.Name, err)
			}
			c.Send("<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%s</response>", base64.StdEncoding.EncodeToString(resp))
		case "success":
			if len(data) > 0 {
				if _, _, err := cl.Step(data); err != nil {
					c.T.Fatalf("%s: the server's signature: %v", c.Name, err)
				}
			}
			return n
		default:
			return n
		}
	}
}

// Bind binds a resource and notes the full JID.
func (c *Client) Bind(resource string) {
	c.T.Helper()
	body := ""
	if resource != "" {
		body = "<resource>" + resource + "</resource>"
	}
	c.Send("<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>%s</bind></iq>", body)
	n := c.Want("<iq type='result' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>*</jid></bind></iq>")
	c.JID = n.Find("jid").Text
}

// Login connects by STARTTLS, logs in with PLAIN as user/resource, and binds.
func (s *Server) Login(t testing.TB, full string, from ...string) *Client {
	t.Helper()
	bare, resource, _ := strings.Cut(full, "/")
	_, host, _ := strings.Cut(bare, "@")
	c := s.Secure(t, host, from...)
	c.Name = full
	c.Auth(sasl.Plain, userOf(full), Password)
	c.Bind(resource)
	return c
}

// userOf is the local part of a JID.
func userOf(jid string) string {
	user, _, _ := strings.Cut(jid, "@")
	return user
}

// Online logs in and sends initial presence; what that brings is read and dropped.
func (s *Server) Online(t testing.TB, full string) *Client {
	t.Helper()
	c := s.Login(t, full)
	c.Send("<presence/>")
	c.Barrier()
	return c
}

// Barrier2 passes two barriers, the second for what the first brought about, and hands on all that arrived.
func (c *Client) Barrier2(fn func([]*Node)) {
	c.T.Helper()
	got := c.Barrier()
	fn(append(got, c.Barrier()...))
}

// Quit closes the stream and reads until the server has closed it too.
func (c *Client) Quit() {
	c.T.Helper()
	c.Send("</stream:stream>")
	for {
		if _, err := c.Next(); err == ErrEnd {
			return
		} else if err != nil {
			c.T.Fatalf("%s: %v", c.Name, err)
		}
	}
}
