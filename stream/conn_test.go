package stream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const clientHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.test' version='1.0'>"

var testLimits = stanza.Limits{Size: 256 << 10, Depth: 64, Elements: 10000, Attrs: 64, Namespaces: 16, Name: 256, Value: 64 << 10}

func testOptions() Options { return Options{Namespace: stanza.NSClient, Limits: testLimits} }

// tcpPair returns both ends of a TCP connection on the loopback, the server's on the transport under test.
func tcpPair(t testing.TB) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan net.Conn, 1)
	go func() {
		c, _ := l.Accept()
		got <- c
	}()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server = <-got
	if transportUnderTest == "epoll" {
		server = newPoller(t).Adopt(server)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

// transportUnderTest is that of all connections of tcpPair: goroutine where empty, or epoll.
var transportUnderTest = os.Getenv("XMPPD_TEST_TRANSPORT")

func newPoller(t testing.TB) *Poller {
	t.Helper()
	p, err := NewPoller()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// TestEpoll runs the tests of this package once more, on the other transport.
func TestEpoll(t *testing.T) {
	if runtime.GOOS != "linux" || transportUnderTest != "" {
		t.Skip("this is Linux's other transport")
	}
	cmd := exec.Command(os.Args[0], "-test.timeout=5m", "-test.short="+strconv.FormatBool(testing.Short()))
	cmd.Env = append(os.Environ(), "XMPPD_TEST_TRANSPORT=epoll")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// open returns a Conn that has read the header that the client sent.
func open(t testing.TB, o Options) (*Conn, net.Conn) {
	t.Helper()
	s, c := tcpPair(t)
	conn := NewConn(s, o)
	t.Cleanup(conn.Abort)
	write(t, c, clientHeader)
	var h Header
	if err := conn.ReadHeader(&h); err != nil {
		t.Fatal(err)
	}
	return conn, c
}

func write(t testing.TB, w io.Writer, s string) {
	t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
}

func queue(t testing.TB, c *Conn, ctx context.Context, s string) {
	t.Helper()
	if err := c.Queue(ctx, func(dst []byte) []byte { return append(dst, s...) }); err != nil {
		t.Fatal(err)
	}
}

// expect reads until what was read ends with the text.
func expect(t testing.TB, r net.Conn, text string) string {
	t.Helper()
	r.SetReadDeadline(time.Now().Add(10 * time.Second))
	var got []byte
	buf := make([]byte, 64<<10)
	for !bytes.HasSuffix(got, []byte(text)) {
		n, err := r.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil && !bytes.HasSuffix(got, []byte(text)) {
			t.Fatalf("read %q, then %v; want %q", got, err, text)
		}
	}
	return string(got)
}

func TestReadElements(t *testing.T) {
	conn, c := open(t, testOptions())
	write(t, c, " <message id='1'><body>a</body></message>\n<iq id='2' type='get'><x xmlns='u'/></iq> <presence id='3'")
	for i, want := range []string{"message", "iq"} {
		st, err := conn.Read()
		if err != nil {
			t.Fatal(err)
		}
		if st.Name != want {
			t.Fatalf("element %d is %s, want %s", i, st.Name, want)
		}
		if got := conn.Buffered(); got != (i == 0) {
			t.Errorf("Buffered = %v behind element %d", got, i)
		}
		if got := st.ID(); got != string(rune('1'+i)) {
			t.Errorf("id %q: looking ahead has changed the element", got)
		}
	}
	write(t, c, "/></stream:stream>")
	if st, err := conn.Read(); err != nil || st.ID() != "3" {
		t.Fatal(st, err)
	}
	for range 2 {
		if _, err := conn.Read(); err != stanza.ErrStreamEnd {
			t.Fatal(err)
		}
	}
}

func TestReadByteByByte(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	defer conn.Abort()
	big := strings.Repeat("é€", 6000)
	text := clientHeader + "<message><body>" + big + "</body></message> <a xmlns='b'/></stream:stream>"
	go func() {
		c.(*net.TCPConn).SetNoDelay(true)
		for i := range len(text) {
			c.Write([]byte{text[i]})
		}
	}()
	var h Header
	if err := conn.ReadHeader(&h); err != nil || h.To.String() != "a.test" {
		t.Fatal(h, err)
	}
	st, err := conn.Read()
	if err != nil || st.Text("body") != big {
		t.Fatal("body differs", err)
	}
	if st, err = conn.Read(); err != nil || st.Name != "a" {
		t.Fatal(st, err)
	}
	if _, err = conn.Read(); err != stanza.ErrStreamEnd {
		t.Fatal(err)
	}
}

func TestIdleHoldsNoBuffer(t *testing.T) {
	conn, c := open(t, testOptions())
	write(t, c, "<a xmlns='b'/>")
	if _, err := conn.Read(); err != nil {
		t.Fatal(err)
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := conn.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if conn.rd != nil || conn.out.head != nil || conn.wire.left != nil {
		t.Error("an idle connection holds a buffer")
	}
	conn.SetReadDeadline(time.Time{})
	write(t, c, "<c xmlns='b'/>") // reading goes on after a deadline
	if st, err := conn.Read(); err != nil || st.Name != "c" {
		t.Fatal(st, err)
	}
}

func TestSyntaxErrorIsStreamError(t *testing.T) {
	conn, c := open(t, testOptions())
	write(t, c, "<message/><!-- x --><message/>")
	if _, err := conn.Read(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := conn.Read()
		var e *Error
		if !errors.As(err, &e) || e.Condition != "restricted-xml" {
			t.Fatal(err)
		}
	}
}
