package stream

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// opened returns a Conn on a pipe that has read its header; for tests with a clock of their own.
func opened(t *testing.T, o Options) (*Conn, net.Conn) {
	t.Helper()
	conn, c := pipe(o)
	go io.WriteString(c, clientHeader)
	if err := conn.ReadHeader(new(Header)); err != nil {
		t.Fatal(err)
	}
	return conn, c
}

// H03: the clock of an element starts with its first byte, whatever else may wait longer.
func TestStanzaTime(t *testing.T) {
	for _, idle := range []time.Duration{0, time.Minute, 15 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			o := testOptions()
			o.StanzaTime = 2 * time.Minute
			conn, c := opened(t, o)
			go func() {
				time.Sleep(10 * time.Minute) // nothing is begun yet
				io.WriteString(c, "<"+strings.Repeat("a", 30))
				for range 12 {
					time.Sleep(10*time.Second - time.Millisecond)
					io.WriteString(c, "a")
				}
			}()
			start := time.Now()
			var err error
			for {
				if idle > 0 {
					conn.SetReadDeadline(time.Now().Add(idle))
				}
				if _, err = conn.Read(); !errors.Is(err, os.ErrDeadlineExceeded) {
					break
				}
			}
			var e *Error
			if !errors.As(err, &e) || e.Condition != "connection-timeout" {
				t.Errorf("idle %v: %v", idle, err)
			}
			if d := time.Since(start); d != 12*time.Minute {
				t.Errorf("idle %v: after %v", idle, d)
			}
			if _, again := conn.Read(); again != err {
				t.Error(again)
			}
			conn.Abort()
			c.Close()
		})
	}
}

// A slow element that is whole in time does not shorten the time of the next.
func TestStanzaTimeStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.StanzaTime = 2 * time.Minute
		conn, c := opened(t, o)
		go func() {
			for range 5 {
				io.WriteString(c, "<a xmlns='b'>")
				time.Sleep(110 * time.Second)
				io.WriteString(c, "</a>")
			}
			time.Sleep(time.Hour)
			io.WriteString(c, "<b xmlns='b'/>")
		}()
		for i := range 6 {
			if st, err := conn.Read(); err != nil {
				t.Fatal(i, st, err)
			}
		}
		conn.Abort()
		c.Close()
	})
}

// The deadline in force counts, not the one that the socket was told.
func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, c := opened(t, testOptions())
		go func() {
			for range 10 {
				time.Sleep(50 * time.Second)
				io.WriteString(c, "<a xmlns='b'/>")
			}
		}()
		var last time.Time
		for range 10 {
			conn.SetReadDeadline(time.Now().Add(time.Minute))
			if _, err := conn.Read(); err != nil {
				t.Fatal(err)
			}
			last = time.Now()
		}
		conn.SetReadDeadline(last.Add(time.Minute))
		if _, err := conn.Read(); err != os.ErrDeadlineExceeded || time.Since(last) != time.Minute {
			t.Error(err, time.Since(last))
		}
		// Past: at once. Earlier while a read waits: it obeys. Lifted: none.
		conn.SetReadDeadline(time.Now().Add(-time.Second))
		if _, err := conn.Read(); err != os.ErrDeadlineExceeded || time.Since(last) != time.Minute {
			t.Error(err, time.Since(last))
		}
		conn.SetReadDeadline(time.Now().Add(time.Hour))
		time.AfterFunc(time.Second, func() { conn.SetReadDeadline(time.Now().Add(time.Second)) })
		now := time.Now()
		if _, err := conn.Read(); err != os.ErrDeadlineExceeded || time.Since(now) != 2*time.Second {
			t.Error(err, time.Since(now))
		}
		conn.SetReadDeadline(time.Time{})
		time.AfterFunc(24*time.Hour, func() { io.WriteString(c, "<a xmlns='b'/>") })
		if _, err := conn.Read(); err != nil {
			t.Error(err)
		}
		conn.Abort()
		c.Close()
	})
}

// R07: beyond the rate reading is slower, and nothing is lost.
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Rate, o.Burst = 10_000, 100_000
		o.StanzaTime = 10 * time.Second // a pause of ours does not count
		conn, c := opened(t, o)
		stanza := "<message><body>" + strings.Repeat("x", 100_000-len("<message><body></body></message>")) + "</body></message>"
		go func() {
			for range 6 {
				io.WriteString(c, stanza)
			}
		}()
		start := time.Now()
		for i := range 6 {
			st, err := conn.Read()
			if err != nil || len(st.Raw) != len(stanza) {
				t.Fatal(i, err)
			}
		}
		// The header took of the burst, too.
		if d := time.Since(start); d < 49*time.Second || d > 52*time.Second {
			t.Errorf("500 kB beyond the burst took %v", d)
		}
		// Closing need not wait for the end of a long pause.
		go io.WriteString(c, stanza)
		done := make(chan error)
		go func() { _, err := conn.Read(); done <- err }()
		time.Sleep(time.Second)
		conn.Abort()
		if err := <-done; err != ErrClosed {
			t.Error(err)
		}
		c.Close()
	})
}

func TestRateAfterLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.Rate, o.Burst = 10, 1000
		conn, c := opened(t, o)
		stanza := "<message><body>" + strings.Repeat("x", 50_000) + "</body></message>"
		go io.WriteString(c, stanza+stanza)
		conn.SetLimits(testLimits, 10_000, 200_000)
		start := time.Now()
		for range 2 {
			if _, err := conn.Read(); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("a burst that is allowed took %v", d)
		}
		conn.SetLimits(testLimits, 0, 0)
		go io.WriteString(c, stanza+stanza+stanza+stanza+stanza)
		for range 5 {
			if _, err := conn.Read(); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("no limit took %v", d)
		}
		conn.Abort()
		c.Close()
	})
}

// R01, R02: nothing grows beyond the limit, and the limit is that of the moment.
func TestSizeLimit(t *testing.T) {
	conn, c := open(t, Options{Namespace: stanza.NSClient, Limits: preauth})
	element := func(size int) string {
		return "<a xmlns='b'>" + strings.Repeat("x", size-len("<a xmlns='b'></a>")) + "</a>"
	}
	write(t, c, element(10_000))
	if _, err := conn.Read(); err != nil {
		t.Fatal(err)
	}
	conn.SetLimits(testLimits, 0, 0)
	go io.WriteString(c, element(200_000)+element(testLimits.Size)+element(testLimits.Size+1))
	for range 2 {
		if _, err := conn.Read(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := conn.Read()
	var e *Error
	if !errors.As(err, &e) || e.Condition != "policy-violation" {
		t.Error(err)
	}
	if n := cap(conn.rd.b); n > testLimits.Size+readSize {
		t.Errorf("the buffer has %d bytes", n)
	}
}

// White space is bounded before login, when it says nothing but costs work; after it, it keeps a connection alive.
func TestBlanks(t *testing.T) {
	o := testOptions()
	o.Blanks = 10_000
	conn, c := open(t, o)
	blank := strings.Repeat(" \n", 2500)
	read := func() error { _, err := conn.Read(); return err }
	go io.WriteString(c, blank+"<a xmlns='b'/>"+blank+"<a xmlns='b'/>")
	for range 2 {
		if read() != nil {
			t.Fatal("what is allowed is refused")
		}
	}
	conn.SetLimits(testLimits, 0, 0)
	go io.WriteString(c, strings.Repeat(blank, 20)+"<a xmlns='b'/>")
	if err := read(); err != nil {
		t.Error(err)
	}

	conn, c = open(t, o)
	go io.WriteString(c, strings.Repeat(" ", 20_000))
	var e *Error
	if err := read(); !errors.As(err, &e) || e.Condition != "policy-violation" {
		t.Error(err)
	}
}

func TestHeaderTakesTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := testOptions()
		o.StanzaTime = time.Minute
		conn, c := pipe(o)
		go io.WriteString(c, "<stream:stream ")
		start := time.Now()
		err := conn.ReadHeader(new(Header))
		var e *Error
		if !errors.As(err, &e) || time.Since(start) != time.Minute {
			t.Error(err, time.Since(start))
		}
		conn.Abort()
		c.Close()
	})
}

func TestPeerHangsUp(t *testing.T) {
	for _, text := range []string{"", "<mess", " "} {
		conn, c := open(t, testOptions())
		write(t, c, text)
		c.Close()
		if _, err := conn.Read(); err != io.EOF {
			t.Errorf("behind %q: %v", text, err)
		}
	}
}

// RFC 6120 §4.6.1: white space is a sign of life, though no element.
func TestHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, c := opened(t, testOptions())
		start := time.Now()
		if d := start.Sub(conn.Heard()); d != 0 {
			t.Errorf("heard %v ago", d)
		}
		go func() {
			time.Sleep(time.Minute)
			io.WriteString(c, " ")
		}()
		conn.SetReadDeadline(start.Add(2 * time.Minute))
		if _, err := conn.Read(); err != os.ErrDeadlineExceeded {
			t.Error(err)
		}
		if d := conn.Heard().Sub(start); d != time.Minute {
			t.Errorf("heard after %v", d)
		}
		conn.Abort()
		c.Close()
	})
}

// The clock being set must not matter.
func TestHeardIsMonotonic(t *testing.T) {
	conn, _ := open(t, testOptions())
	if h := conn.Heard(); h == h.Round(0) {
		t.Error("a time by the clock on the wall")
	}
}
