package stream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const shutdown = "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"

// collect reads everything until the connection ends.
func collect(c net.Conn) <-chan string {
	out := make(chan string, 1)
	go func() {
		b, _ := io.ReadAll(c)
		out <- string(b)
	}()
	return out
}

// pipe returns a Conn on a pipe, for tests with a clock of their own.
func pipe(o Options) (*Conn, net.Conn) {
	a, b := net.Pipe()
	return NewConn(a, o), b
}

func TestErrorAppendTo(t *testing.T) {
	e := &Error{Condition: "policy-violation", Text: "a < b", App: []byte("<x xmlns='u'/>")}
	want := "<stream:error><policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>" +
		"<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='en'>a &lt; b</text><x xmlns='u'/></stream:error>"
	if got := string(e.AppendTo(nil)); got != want {
		t.Errorf("%s", got)
	}
	if got, ok := FromSyntax(&stanza.SyntaxError{Condition: "c", Reason: "r"}).(*Error); !ok || got.Condition != "c" || got.Text != "r" {
		t.Error(got)
	}
	if got := FromSyntax(io.EOF); got != io.EOF {
		t.Error(got)
	}
}

// RFC 6120 §4.9.1.2: the header comes first, even for a peer that did not come that far.
func TestCloseWithoutHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, c := pipe(testOptions())
		got := collect(c)
		start := time.Now()
		conn.CloseWith(&Error{Condition: "system-shutdown"})
		if time.Since(start) != 0 {
			t.Error("CloseWith waits")
		}
		<-conn.Done()
		s := <-got
		if !strings.HasPrefix(s, "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='") ||
			!strings.HasSuffix(s, " version='1.0'>"+shutdown) {
			t.Errorf("%s", s)
		}
		if d := time.Since(start); d > closeTime {
			t.Errorf("a peer that never spoke is waited for: %v", d)
		}
	})
}

// The host asked for is named in the header that goes before an error.
func TestCloseNamesHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, c := pipe(testOptions())
		go io.WriteString(c, header("to='A.test'"))
		var h Header
		err := conn.ReadHeader(&h)
		var e *Error
		if !errors.As(err, &e) {
			t.Fatal(err)
		}
		got := collect(c)
		conn.CloseWith(e)
		if s := <-got; !strings.Contains(s, " from='a.test' version='1.0'><stream:error><unsupported-version ") {
			t.Errorf("%s", s)
		}
	})
}

// RFC 6120 §4.4: the peer's end is waited for, but not for long.
func TestCloseWaits(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer string
		after  time.Duration
		hangUp bool
		want   time.Duration
	}{
		{"answers and hangs up", "</stream:stream>", 300 * time.Millisecond, true, 300 * time.Millisecond},
		{"answers only", "<message/></stream:stream>", 300 * time.Millisecond, false, 300*time.Millisecond + closeTime},
		{"hangs up", "", 300 * time.Millisecond, true, 300 * time.Millisecond},
		{"says nothing", "", 0, false, 2 * closeTime},
		{"says other things", strings.Repeat("<message/>", 10000), 300 * time.Millisecond, false, 2 * closeTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			conn, c := pipe(testOptions())
			go io.WriteString(c, clientHeader)
			if err := conn.ReadHeader(new(Header)); err != nil {
				t.Fatal(err)
			}
			conn.WriteHeader(Header{ID: "1"})
			reader := make(chan error)
			go func() {
				_, err := conn.Read()
				reader <- err
			}()
			synctest.Wait()
			go func() {
				time.Sleep(tt.after)
				// In pieces, so that the end tag is cut.
				for i := 0; i < len(tt.answer); i += 7 {
					if _, err := io.WriteString(c, tt.answer[i:min(i+7, len(tt.answer))]); err != nil {
						break
					}
				}
				if tt.hangUp {
					c.Close()
				}
			}()
			got := collect(c)
			start := time.Now()
			conn.CloseWith(&Error{Condition: "system-shutdown"})
			if err := <-reader; err != ErrClosed {
				t.Errorf("%s: the reader got %v", tt.name, err)
			}
			<-conn.Done()
			if d := time.Since(start); d != tt.want {
				t.Errorf("%s: closed after %v, want %v", tt.name, d, tt.want)
			}
			c.Close()
			if s := <-got; !strings.HasSuffix(s, "id='1' version='1.0'>"+shutdown) || strings.Count(s, "<stream:stream") != 1 {
				t.Errorf("%s: %s", tt.name, s)
			}
			if err := conn.Queue(t.Context(), func(b []byte) []byte { return b }); err != ErrClosed {
				t.Error(err)
			}
		})
	}
}

// A peer that has ended its stream is not waited for.
func TestCloseAfterEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, c := pipe(testOptions())
		go io.WriteString(c, clientHeader+"</stream:stream>")
		if err := conn.ReadHeader(new(Header)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(); err != stanza.ErrStreamEnd {
			t.Fatal(err)
		}
		got := collect(c)
		start := time.Now()
		conn.CloseWith(nil)
		conn.CloseWith(&Error{Condition: "reset"}) // too late
		<-conn.Done()
		if d := time.Since(start); d > closeTime {
			t.Errorf("closed after %v", d)
		}
		if s := <-got; !strings.HasSuffix(s, "version='1.0'></stream:stream>") {
			t.Errorf("%s", s)
		}
	})
}

// A peer that takes nothing is not waited for longer than others.
func TestCloseSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, c := pipe(testOptions())
		queue(t, conn, t.Context(), "<message/>")
		start := time.Now()
		conn.CloseWith(nil)
		<-conn.Done()
		if d := time.Since(start); d != closeTime {
			t.Errorf("closed after %v", d)
		}
		c.Close()
	})
}

// The error arrives although the peer is sending: TCP must not throw it away with what nobody reads.
func TestCloseWhilePeerSends(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		var conn *Conn
		var c net.Conn
		if secure {
			conn, c = openTLS(t, testOptions())
		} else {
			conn, c = open(t, testOptions())
		}
		go func() {
			junk := bytes.Repeat([]byte("<message/>"), 10000)
			for range 10 {
				c.Write(junk)
			}
		}()
		if _, err := conn.Read(); err != nil {
			t.Fatal(err)
		}
		got := collect(c)
		conn.CloseWith(&Error{Condition: "system-shutdown"})
		if s := <-got; !strings.HasSuffix(s, shutdown) {
			t.Errorf("TLS %v: %q", secure, s)
		}
		c.Close()
		<-conn.Done()
	}
}
