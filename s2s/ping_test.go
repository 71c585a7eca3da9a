package s2s

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// listener is b.test, which knows no XEP-0198: what it has got, by id, "?" for a ping.
type listener struct {
	t     *testing.T
	a     *rig
	p     *peer // the connection that a.test has opened
	got   []string
	pings []string // their ids
	says  func(string)
}

// listen plays it, with features or without. Where streams go one way it has one of its own for what it says.
func listen(t *testing.T, config, features string) *listener {
	w := newWorld(t)
	l := &listener{t: t, a: w.newRig("a.test", insecure+config)}
	w.plainPeer("b.test", features, func(p *peer) {
		l.p = p
		for s := p.next(); s != "" && s != streamEnd; s = p.next() {
			if id := pinged(s); id != "" {
				l.pings = append(l.pings, id)
				l.got = append(l.got, "?")
			} else if m := anID.FindStringSubmatch(s); m != nil {
				l.got = append(l.got, m[1])
			}
		}
	})
	if strings.Contains(features, "bidi") {
		l.says = func(s string) { l.p.send("%s", s) }
	} else {
		own := l.a.admitted("")
		go func() {
			for s := own.next(); s != "" && s != streamEnd; s = own.next() {
			}
			own.c.Close()
		}()
		l.says = func(s string) { own.send("%s", s) }
	}
	return l
}

const streamEnd = "</stream:stream>"

var anID = regexp.MustCompile(` id='([^']*)'`)

// sends has alice send messages, and waits until they are there.
func (l *listener) sends(ids ...string) {
	for _, id := range ids {
		l.a.send("alice@a.test", "bob@b.test", id)
	}
	synctest.Wait()
}

// answers answers the last ping.
func (l *listener) answers() {
	l.t.Helper()
	l.says(fmt.Sprintf("<iq type='result' from='b.test' to='a.test' id='%s'/>", l.pings[len(l.pings)-1]))
	synctest.Wait()
}

func (l *listener) breaks() {
	l.p.c.Close()
	synctest.Wait()
}

// wants compares what b.test has got.
func (l *listener) wants(want string) {
	l.t.Helper()
	if got := strings.Join(l.got, " "); got != want {
		l.t.Errorf("b.test has got %q, want %q", got, want)
	}
}

// returned compares what has come back to alice, all with remote-server-timeout.
func (l *listener) returned(want string) {
	l.t.Helper()
	var got []string
	for _, s := range l.a.inbox.all() {
		if !like("<message type='error' *<remote-server-timeout *", s) {
			l.t.Errorf("alice has got %s", s)
			continue
		}
		got = append(got, anID.FindStringSubmatch(s)[1])
	}
	if got := strings.Join(got, " "); got != want {
		l.t.Errorf("%q came back, want %q", got, want)
	}
}

// held compares how many stanzas are kept.
func (l *listener) held(want int64) {
	l.t.Helper()
	r := l.a.srv.routes.get(pair{"a.test", "b.test"})
	switch {
	case r == nil && want != 0:
		l.t.Errorf("there is no route, where %d stanzas are to be kept", want)
	case r != nil && (r.held.Load() != want || want == 0 && r.size.Load() != 0):
		l.t.Errorf("%d stanzas of %d bytes are kept, want %d", r.held.Load(), r.size.Load(), want)
	}
	unacked := 0
	for _, s := range l.a.srv.Streams("") {
		unacked += s.Unacked
	}
	if unacked != int(want) {
		l.t.Errorf("the admin sees %d", unacked)
	}
}

const offersBidi = "<bidi xmlns='urn:xmpp:features:bidi'/>"

// What breaks off between a server without XEP-0198 and us: what it has not shown to have is told to the senders, in order and
// once, and is not sent again. It shows it by any answer to a ping, on whichever stream.
func TestPings(t *testing.T) {
	const result, refusal = "<iq type='result' from='b.test' to='a.test' id='%s'/>",
		"<iq type='error' from='b.test' to='a.test' id='%s'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
	for _, way := range []struct{ name, features, answer string }{
		{"result on its own stream", "", result},
		{"error on its own stream", "", refusal},
		{"result on a stream for both ways", offersBidi, result},
		{"error on a stream for both ways", offersBidi, refusal},
	} {
		for answered, want := range []struct{ got, returned string }{
			{"0 ? 1 2 3", "0 1 2 3"},
			{"0 ? 1 2 ? 3", "1 2 3"}, // the second asks after 1 and 2
			{"0 ? 1 2 ? 3 ?", "3"},
			{"0 ? 1 2 ? 3 ?", ""},
		} {
			t.Run(fmt.Sprintf("%s, %d answers", way.name, answered), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					l := listen(t, "", way.features)
					sent := [][]string{{"0", "1", "2"}, {"3"}}
					for i := range max(answered, len(sent)) {
						if i < len(sent) {
							l.sends(sent[i]...)
						}
						if i < answered {
							l.says(fmt.Sprintf(way.answer, l.pings[i]))
							synctest.Wait()
						}
					}
					l.wants(want.got)
					l.breaks()
					l.returned(want.returned)
					time.Sleep(time.Minute)
					l.wants(want.got) // nothing comes twice
					l.returned(want.returned)
					l.held(0)
				})
			})
		}
	}
}

// An answer counts once, from who was asked and for what was asked; any other changes nothing.
func TestForgedAnswers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := listen(t, "", "")
		l.sends("0", "1")
		l.answers()
		old := l.pings[0]
		l.sends("2")
		id := l.pings[1]
		b, c := l.a.admitted(""), l.a.admittedAs("c.test", "")
		b.send("<db:result from='b.test' to='rooms.a.test'>by certificate</db:result>")
		b.want("<db:result *type='valid'/>")
		for _, forged := range []struct {
			p    *peer
			text string
		}{
			{b, "<iq type='result' from='b.test' to='a.test' id='" + old + "'/>"},
			{b, "<iq type='result' from='b.test' to='a.test' id='" + id[:len(id)-1] + "'/>"},
			{b, "<iq type='result' from='b.test' to='a.test' id='" + id + "0'/>"},
			{b, "<iq type='result' from='b.test' to='a.test' id='s2s-'/>"},
			{b, "<iq type='result' from='b.test' to='a.test' id='" + strings.ToUpper(id) + "'/>"},
			{b, "<iq type='result' from='b.test' to='rooms.a.test' id='" + id + "'/>"},
			{b, "<iq type='result' from='b.test' to='alice@a.test' id='" + id + "'/>"},
			{b, "<iq type='result' from='b.test' to='a.test/x' id='" + id + "'/>"},
			{b, "<iq type='result' from='bob@b.test' to='a.test' id='" + id + "'/>"},
			{b, "<iq type='result' from='b.test/x' to='a.test' id='" + id + "'/>"},
			{b, "<message type='error' from='b.test' to='a.test' id='" + id + "'/>"},
			{b, "<presence from='b.test' to='a.test' id='" + id + "'/>"},
			{b, "<iq type='get' from='b.test' to='a.test' id='" + id + "'><ping xmlns='urn:xmpp:ping'/></iq>"},
			{c, "<iq type='result' from='c.test' to='a.test' id='" + id + "'/>"},
			{c, "<iq type='result' from='b.test' to='a.test' id='" + id + "'/>"},
		} {
			forged.p.send("%s", forged.text)
			synctest.Wait()
			l.held(2)
		}
		c.fails("invalid-from")
		l.answers()
		l.held(1)
		l.says("<iq type='result' from='b.test' to='a.test' id='" + id + "'/>") // again
		synctest.Wait()
		l.held(1)
		l.answers()
		l.held(0)
		l.wants("0 ? 1 ? 2 ?")
	})
}

// Who answers no ping keeps his stream and gets what is sent; what becomes of that is not known any more.
func TestNoAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := listen(t, "[limits]\ns2s_queue_size = '10000'\n", "")
		l.sends("0", "1")
		time.Sleep(ackTime - time.Second)
		l.held(2)
		large := strings.Repeat("x", 4000)
		l.sends(large, large, "beyond")
		if got := l.a.inbox.all(); len(got) != 1 || !like("<message type='error' *<resource-constraint *", got[0]) {
			t.Errorf("%q came back: what is kept is bounded", got)
		}
		l.a.inbox.clear()
		time.Sleep(2 * time.Second)
		l.held(0)
		l.sends("2", "3")
		l.held(0)
		l.answers() // too late: it is handled as any answer that nobody waits for
		l.a.inbox.clear()
		l.sends("4")
		l.wants("0 ? 1 " + large + " " + large + " 2 3 4")
		if n := strings.Count(l.a.log.String(), "answers no ping"); n != 1 {
			t.Errorf("%d lines in the log", n)
		}
		if l.a.w.dialed("b.test") != 1 {
			t.Error("the stream was not left alone")
		}
		l.breaks()
		l.returned("")
		time.Sleep(10 * time.Second)
		l.sends("5") // the next one may answer
		l.held(1)
	})
}

// What nobody misses is not kept, and nothing is asked after it.
func TestNotAskedAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := listen(t, "", "")
		for i, text := range []string{
			"<presence %s/>", "<presence type='subscribe' %s/>", "<message type='error' %s/>", "<iq type='result' %s/>", "<iq type='error' %s/>",
		} {
			for range 2 { // before there is a stream, and after
				st, err := stanza.Parse(fmt.Appendf(nil, text, fmt.Sprintf("from='alice@a.test/x' to='bob@b.test/y' id='%d'", i)))
				if err != nil {
					t.Fatal(err)
				}
				l.a.router.Route(context.Background(), modules.NewPacket(st))
				synctest.Wait()
			}
		}
		l.wants("0 0 1 1 2 2 3 3 4 4")
		l.held(0)
		st, _ := stanza.Parse([]byte("<iq type='get' from='alice@a.test' to='bob@b.test' id='5'><ping xmlns='urn:xmpp:ping'/></iq>"))
		l.a.router.Route(context.Background(), modules.NewPacket(st))
		synctest.Wait()
		l.held(1)
		l.breaks()
		if got := l.a.inbox.all(); len(got) != 1 || !like("<iq type='error' id='5' *<remote-server-timeout *", got[0]) {
			t.Errorf("%q came back", got)
		}
	})
}

// Neither pings nor their answers keep a stream alive.
func TestPingsAreIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := listen(t, "[limits]\nidle_timeout_s2s = '10m'\n", "")
		time.Sleep(time.Second) // so that nothing is said at the moment at which a stream ends
		for range 30 {          // the peer's own stream carries answers alone
			if l.a.srv.Stats().In == 0 {
				break
			}
			l.sends("x")
			l.answers()
			time.Sleep(time.Minute)
		}
		if st := l.a.srv.Stats(); st.In != 0 || st.Out != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(21 * time.Minute)
		if st := l.a.srv.Stats(); st.Out != 0 || st.Routes != 0 {
			t.Errorf("%+v: the stream that has nothing to do goes on", st)
		}
		l.returned("")
	})
}

// A server that stops waits for the answers, which come on streams of their own.
func TestShutdownWaitsForAnswers(t *testing.T) {
	for _, answered := range []bool{true, false} {
		t.Run(fmt.Sprint("answered ", answered), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				l := listen(t, "", "")
				l.sends("0", "1")
				begin := time.Now()
				done := make(chan error, 1)
				go func() { done <- l.a.srv.Shutdown(t.Context()) }()
				time.Sleep(time.Second / 2)
				want, took := "0 1", departTime
				if answered {
					l.answers()
					time.Sleep(time.Second / 2)
					l.answers()
					want, took = "", time.Second
				}
				if err := <-done; err != nil || time.Since(begin) != took {
					t.Errorf("%v after %v", err, time.Since(begin))
				}
				l.returned(want)
				l.held(0)
			})
		})
	}
}

// XEP-0198 may come on a stream on which stanzas have gone out already: those it does not count.
func TestManagedAfterPings(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newWorld(t).newRig("a.test", "")
		p := a.admitted("<bidi xmlns='urn:xmpp:bidi'/>")
		for _, id := range []string{"0", "1"} {
			a.send("alice@a.test", "bob@b.test", id)
		}
		p.want("<message *id='0'>*")
		first := pinged(p.next())
		p.want("<message *id='1'>*")
		p.send("<enable xmlns='urn:xmpp:sm:3'/>")
		second := pinged(p.next())
		p.want("<enabled *")
		a.send("alice@a.test", "bob@b.test", "2")
		p.want("<message *id='2'>*")
		p.want("<r *")
		l := &listener{t: t, a: a}
		for _, step := range []struct {
			text string
			held int64
		}{
			{"<iq type='result' from='b.test' to='a.test' id='" + first + "'/>", 3}, // all is asked after anew
			{"<a xmlns='urn:xmpp:sm:3' h='1'/>", 2},
			{"<iq type='result' from='b.test' to='a.test' id='" + second + "'/>", 0},
		} {
			p.send("%s", step.text)
			synctest.Wait()
			l.held(step.held)
		}
		p.send("<r xmlns='urn:xmpp:sm:3'/>")
		p.want("<a xmlns='urn:xmpp:sm:3' h='2'/>") // answers are stanzas
	})
}
