package c2s

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const nsSM = "xmlns='urn:xmpp:sm:3'"

// managed is a client with XEP-0198 on and initial presence sent; it returns the SM-ID.
func (r *rig) managed(p *peer, user, resource string) (*peer, string) {
	r.t.Helper()
	r.bound(p, user, resource)
	p.send("<presence/><enable %s resume='true'/>", nsSM)
	s := p.want("<enabled " + nsSM + " id='*' resume='true' max='600'/>")
	_, s, _ = strings.Cut(s, "id='")
	s, _, _ = strings.Cut(s, "'")
	return p, s
}

// resume logs in and asks for a session; the answer is next.
func (r *rig) resume(p *peer, user, previd string, h int) *peer {
	r.t.Helper()
	p.login(user)
	p.send("<resume %s previd='%s' h='%d'/>", nsSM, previd, h)
	return p
}

func (r *rig) say(to, body string) { // a message of bob's, who has no session
	r.router.Route(r.srv.ctx, packet(message("bob@a.test/y", to, body)))
}

func TestAcknowledgements(t *testing.T) {
	r := newRig(t, noTLS)
	p := r.client("alice", "x")
	p.talk(`
		C: <presence/><enable xmlns='urn:xmpp:sm:3'/>
		S: <enabled xmlns='urn:xmpp:sm:3'/>
		C: <r xmlns='urn:xmpp:sm:3'/>
		S: <a xmlns='urn:xmpp:sm:3' h='0'/>
		C: <iq type='get' id='1' to='a.test'><x xmlns='urn:test'/></iq><r xmlns='urn:xmpp:sm:3'/>
		S: <iq type='result' id='1' *
		S: <r xmlns='urn:xmpp:sm:3'/>
		S: <a xmlns='urn:xmpp:sm:3' h='1'/>
		# Only stanzas count, and none twice is asked for.
		C: <iq type='get' id='2' to='a.test'><x xmlns='urn:test'/></iq><r xmlns='urn:xmpp:sm:3'/>
		S: <iq type='result' id='2' *
		S: <a xmlns='urn:xmpp:sm:3' h='2'/>
		# What is still open is asked for again.
		C: <a xmlns='urn:xmpp:sm:3' h='1'/>
		S: <r xmlns='urn:xmpp:sm:3'/>
		C: <a xmlns='urn:xmpp:sm:3' h='2'/><r xmlns='urn:xmpp:sm:3'/>
		S: <a xmlns='urn:xmpp:sm:3' h='2'/>
		C: <enable xmlns='urn:xmpp:sm:3'/>
		S: <failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>
		C: <resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>
		S: <failed xmlns='urn:xmpp:sm:3'><unexpected-request *`)
	if i := r.router.Session(jid("alice@a.test/x")).Info(); !i.SM || i.Unacked != 0 {
		t.Errorf("%+v", i)
	}
	p.send("</stream:stream>")
	p.want("<a " + nsSM + " h='2'/>")
	p.closed()
	r.watch.until(t, "closed alice@a.test/x")
}

// TestManagementErrors: R20.
func TestManagementErrors(t *testing.T) {
	r := newRig(t, noTLS)
	for _, c := range []struct{ send, want string }{
		{"<a %s h='1'/>", "undefined-condition"},
		{"<a %s h='4294967295'/>", "undefined-condition"},
		{"<a %s h='abc'/>", "bad-format"},
		{"<a %s h='-1'/>", "bad-format"},
		{"<a %s h='4294967296'/>", "bad-format"},
		{"<a %s/>", "bad-format"},
		{"<foo %s/>", "unsupported-stanza-type"},
	} {
		p, _ := r.managed(r.dial(), "alice", "x")
		p.send(c.send, nsSM)
		got := p.fails(c.want)
		if c.want == "undefined-condition" && !like("*<handled-count-too-high "+nsSM+" h='*' send-count='0'/>*", got) {
			t.Error(got)
		}
	}
	p := r.client("alice", "x")
	for _, s := range []string{"<r %s/>", "<a %s h='0'/>"} { // not switched on
		p.send(s, nsSM)
		p.want("<failed " + nsSM + "><unexpected-request *")
	}
	p = r.dial()
	p.header("to='a.test'")
	p.send("<resume %s previd='x' h='0'/>", nsSM)
	p.want("<failed " + nsSM + "><not-authorized *")
	p = r.dial()
	p.login("alice")
	p.send("<enable %s/>", nsSM)
	p.want("<failed " + nsSM + "><unexpected-request *")
	p.send("<resume %s previd='x' h='0'/>", nsSM)
	p.want("<failed " + nsSM + "><item-not-found *")
	p.bind("x")
}

func TestResume(t *testing.T) {
	r := newRig(t, noTLS)
	p, id := r.managed(r.dial(), "alice", "x")
	p.send("<message to='nobody@a.test/x' type='headline'/>")
	r.router.Session(jid("alice@a.test/x")).SetValue("k", "v")
	r.say("alice@a.test/x", "one")
	p.want("<message *one*")
	p.want("<r " + nsSM + "/>")
	r.say("alice@a.test/x", "two")
	p.want("<message *two*")
	p.c.Close()
	r.asleep("alice@a.test/x", true)
	r.watch.until(t, "hibernated alice@a.test/x unacked=2 true")
	r.say("alice@a.test", "three")
	if s := r.router.Session(jid("alice@a.test/x")); s.Presence() == nil || s.Info().Unacked != 3 {
		t.Errorf("%+v", s.Info())
	}

	bob := r.resume(r.dial(), "bob", id, 0) // another's is nobody's
	bob.want("<failed " + nsSM + "><item-not-found *")

	p = r.resume(r.dial(), "alice", id, 1)
	p.talk(`
		S: <resumed xmlns='urn:xmpp:sm:3' h='1' previd='` + id + `'/>
		S: <message *two*
		S: <r xmlns='urn:xmpp:sm:3'/>
		S: <message *three*
		C: <a xmlns='urn:xmpp:sm:3' h='3'/><r xmlns='urn:xmpp:sm:3'/>
		S: <a xmlns='urn:xmpp:sm:3' h='1'/>`)
	s := r.router.Session(jid("alice@a.test/x"))
	if s.Value("k") != "v" || s.Hibernated() || s.Info().Unacked != 0 {
		t.Errorf("%+v", s.Info())
	}
	if ev := r.watch.seen(); ev[len(ev)-1] != "resumed alice@a.test/x" {
		t.Errorf("%q", ev)
	}
}

// asleep waits until a session is hibernated, or is not any more.
func (r *rig) asleep(full string, want bool) {
	r.t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if s := r.router.Session(jid(full)); s != nil && s.Hibernated() == want {
			return
		}
	}
	r.t.Fatalf("%s: hibernated is not %t", full, want)
}

// The old connection may not know yet that it is dead.
func TestResumeOfLiveSession(t *testing.T) {
	r := newRig(t, noTLS)
	old, id := r.managed(r.dial(), "alice", "x")
	old.send("<inactive xmlns='urn:xmpp:csi:0'/><r %s/>", nsSM)
	old.want("<a *")
	r.router.Route(r.srv.ctx, packet(presence("bob@a.test/y", "alice@a.test/x", "")))
	p := r.resume(r.dial(), "alice", id, 0)
	p.want("<resumed *")
	p.want("<presence *bob@a.test/y*") // the client is active until it says otherwise
	old.fails("conflict")
	p.want("<r *")
	p.send("<a %s h='1'/>", nsSM)
	p.send("<r %s/>", nsSM)
	p.want("<a " + nsSM + " h='0'/>")
	if strings.Contains(strings.Join(r.watch.seen(), " "), "closed") {
		t.Errorf("%q", r.watch.seen())
	}
}

func TestResumeTooHigh(t *testing.T) {
	r := newRig(t, noTLS)
	p, id := r.managed(r.dial(), "alice", "x")
	p.c.Close()
	r.asleep("alice@a.test/x", true)
	r.say("alice@a.test/x", "one") // never sent
	p = r.resume(r.dial(), "alice", id, 1)
	p.fails("undefined-condition")
	p = r.resume(r.dial(), "alice", id, 0)
	p.want("<resumed *")
	p.want("<message *one*")
}

// What a client has not acknowledged when its session ends goes where it would have gone without the session.
func TestHandBack(t *testing.T) {
	for name, end := range map[string]func(r *rig, p *peer){
		"goodbye":  func(_ *rig, p *peer) { p.send("</stream:stream>") },
		"error":    func(_ *rig, p *peer) { p.send("<foo/>") },
		"replaced": func(r *rig, p *peer) { p.c.Close(); r.asleep("alice@a.test/x", true); r.client("alice", "x") },
		"closed":   func(r *rig, _ *peer) { r.router.Session(jid("alice@a.test/x")).Close(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, noTLS)
			bob := r.client("bob", "y")
			p, _ := r.managed(r.dial(), "alice", "x")
			bob.send("<message to='alice@a.test' type='chat'><body>one</body></message>" +
				"<message to='alice@a.test/x'><body>two</body></message>" +
				"<presence to='alice@a.test/x'/>" +
				"<message to='alice@a.test/x' type='headline'><body>three</body></message>" +
				"<message to='alice@a.test/x' type='error' id='e'/>" +
				"<message to='alice@a.test/x' type='groupchat'><body>four</body></message>" +
				"<iq to='alice@a.test/x' type='get' id='q'><x xmlns='urn:test'/></iq>" +
				"<iq to='alice@a.test/x' type='result' id='s'/>")
			bob.quiet()
			r.router.Session(jid("alice@a.test/x")).Send(r.srv.ctx, message("alice@a.test", "alice@a.test/x", "copy"))
			end(r, p)
			r.watch.until(t, "closed alice@a.test/x")
			got := []string{bob.next(), bob.next()}
			if !strings.Contains(strings.Join(got, ""), "type='groupchat'") && !like("<message type='error' *<service-unavailable *", got[0]) || !like("<iq type='error' id='q' *<service-unavailable *", got[1]) {
				t.Errorf("bob got %q", got)
			}
			bob.quiet()
			kept := get(r.watch, &r.watch.kept)
			if len(kept) != 2 || !strings.Contains(kept[0], "one") || !strings.Contains(kept[1], "two") {
				t.Errorf("kept %q", kept)
			}
			if n := strings.Count(strings.Join(r.watch.seen(), "\n"), "closed alice@a.test/x"); n != 1 {
				t.Errorf("closed %d times", n)
			}
		})
	}
}

func TestHandBackToAnotherResource(t *testing.T) {
	r := newRig(t, noTLS)
	other := r.client("alice", "y")
	other.send("<presence/>")
	other.quiet()
	p, _ := r.managed(r.dial(), "alice", "x")
	r.say("alice@a.test/x", "one")
	p.want("<message *")
	p.send("</stream:stream>")
	other.want("<message *one*")
	if kept := get(r.watch, &r.watch.kept); len(kept) > 0 {
		t.Errorf("kept %q", kept)
	}
}

// What all devices got when it came, none gets again because one of them never acknowledged it. What waited for one device
// goes to the next.
func TestHandBackOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		send func(r *rig)
		last bool // the other device has not got it, and gets it in the end
	}{
		{"to all", func(r *rig) { r.say("alice@a.test", "one") }, false},
		{"to all by way of who is gone", func(r *rig) { r.say("alice@a.test/gone", "one") }, false},
		{"kept", func(r *rig) {
			st := message("bob@a.test/y", "alice@a.test", "one")
			st.Add(stanza.AppendDelay(nil, jid("a.test"), time.Now(), ""))
			r.router.Session(jid("alice@a.test/x")).Send(r.srv.ctx, st)
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, noTLS)
				other := r.bound(r.pipe(), "alice", "y")
				other.send("<presence/>")
				p, _ := r.managed(r.pipe(), "alice", "x")
				time.Sleep(time.Minute)
				other.send("<presence><show>away</show></presence>")
				other.quiet()
				tt.send(r)
				p.want("<message *one*")
				if !tt.last {
					other.want("<message *one*")
				}
				p.send("</stream:stream>")
				r.watch.until(t, "closed alice@a.test/x")
				synctest.Wait()
				if tt.last {
					other.want("<message *one*")
				}
				other.quiet()
				if kept := get(r.watch, &r.watch.kept); len(kept) > 0 {
					t.Errorf("kept %q", kept)
				}
			})
		})
	}
}

func TestHibernationEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p, id := r.managed(r.pipe(), "alice", "x")
		r.say("alice@a.test/x", "early")
		p.want("<message *")
		begin := time.Now()
		p.c.Close()
		synctest.Wait()
		time.Sleep(599 * time.Second)
		r.say("alice@a.test/x", "late")
		if kept := get(r.watch, &r.watch.kept); len(kept) > 0 {
			t.Errorf("kept %q", kept)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		kept := get(r.watch, &r.watch.kept)
		stamp := fmt.Sprintf("<delay xmlns='urn:xmpp:delay' from='a.test' stamp='%s'/>", begin.UTC().Format("2006-01-02T15:04:05.000Z"))
		if len(kept) != 2 || !strings.Contains(kept[0], stamp) || strings.Contains(kept[1], "delay") {
			t.Errorf("kept %q; want %s in the first", kept, stamp)
		}
		want := "presence alice@a.test/x unavailable was=true, closed alice@a.test/x"
		if ev := strings.Join(r.watch.seen(), ", "); !strings.HasSuffix(ev, want) {
			t.Error(ev)
		}
		if n := r.srv.Stats().Hibernated; n != 0 {
			t.Errorf("%d hibernated", n)
		}
		p = r.resume(r.pipe(), "alice", id, 0)
		p.want("<failed " + nsSM + " h='0'><item-not-found *")
		p.bind("x")
	})
}

// Who asks for less time gets less.
func TestMax(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p := r.bound(r.pipe(), "alice", "x")
		p.send("<enable %s resume='1' max='60'/>", nsSM)
		p.want("<enabled " + nsSM + " id='*' resume='true' max='60'/>")
		p.c.Close()
		time.Sleep(61 * time.Second)
		if r.router.Session(jid("alice@a.test/x")) != nil {
			t.Error("still there")
		}
	})
}

// What is sent again late says when it was due; resumed sessions hibernate anew with their full time.
func TestDelayOnResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p, id := r.managed(r.pipe(), "alice", "x")
		p.c.Close()
		synctest.Wait()
		r.say("alice@a.test/x", "one")
		r.router.Route(r.srv.ctx, packet(stanza.New(stanza.KindIQ, stanza.TypeGet, "q", jid("bob@a.test/y"), jid("alice@a.test/x"), []byte("<x xmlns='urn:test'/>"))))
		time.Sleep(5 * time.Minute)
		r.say("alice@a.test/x", "two")
		p = r.resume(r.pipe(), "alice", id, 0)
		p.want("<resumed *")
		p.want("<message *one*<delay *stamp='*'/></message>")
		p.want("<r *")
		p.want("<iq *><x xmlns='urn:test'/></iq>")
		if got := p.want("<message *two*"); strings.Contains(got, "delay") {
			t.Error(got)
		}
		p.c.Close()
		synctest.Wait()
		time.Sleep(9 * time.Minute)
		p = r.resume(r.pipe(), "alice", id, 3)
		p.want("<resumed *")
	})
}

// A hibernated session keeps of presence only the latest of each.
func TestPresenceWhileAsleep(t *testing.T) {
	r := newRig(t, noTLS)
	p, id := r.managed(r.dial(), "alice", "x")
	p.c.Close()
	r.asleep("alice@a.test/x", true)
	for i := range 50 {
		for _, from := range []string{"bob@a.test/y", "bob@a.test/z"} {
			r.router.Route(r.srv.ctx, packet(presence(from, "alice@a.test/x", fmt.Sprintf("<status>%d</status>", i))))
		}
	}
	p = r.resume(r.dial(), "alice", id, 0)
	p.want("<resumed *")
	p.want("<presence *bob@a.test/y*<status>49</status></presence>")
	p.want("<r *")
	p.want("<presence *bob@a.test/z*<status>49</status></presence>")
	p.send("<a %s h='2'/><r %s/>", nsSM, nsSM)
	p.want("<a *")
}

// R20, R08: the queue is bounded; over it the session ends, and what it held is handed on.
func TestQueueLimit(t *testing.T) {
	t.Run("asleep", func(t *testing.T) {
		r := newRig(t, noTLS+"[limits]\nsm_queue = 10\n")
		p, id := r.managed(r.dial(), "alice", "x")
		p.c.Close()
		r.asleep("alice@a.test/x", true)
		for i := range 11 {
			r.say("alice@a.test/x", fmt.Sprint("m", i))
		}
		r.watch.until(t, "closed alice@a.test/x")
		r.keptAre(11)
		r.resume(r.dial(), "alice", id, 0).want("<failed *")
	})
	t.Run("bytes", func(t *testing.T) {
		r := newRig(t, noTLS+"[limits]\nsm_queue_size = 20000\n")
		p, _ := r.managed(r.dial(), "alice", "x")
		for range 3 {
			r.say("alice@a.test/x", strings.Repeat("x", 9000))
		}
		for range 4 { // three messages and a request
			p.next()
		}
		p.fails("resource-constraint")
		r.keptAre(3)
	})
	t.Run("awake", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, noTLS+"[limits]\nsm_queue = 10\n")
			p, _ := r.managed(r.pipe(), "alice", "x")
			p.patience = time.Minute
			for i := range 11 {
				r.say("alice@a.test/x", fmt.Sprint("m", i))
				p.want("<message *")
				if i == 0 {
					p.want("<r *")
				}
			}
			time.Sleep(5 * time.Second) // a client that is busy for a moment is not lost
			p.send("<a %s h='5'/>", nsSM)
			p.want("<r *")
			for i := range 10 {
				r.say("alice@a.test/x", fmt.Sprint("n", i))
				p.want("<message *")
			}
			begin := time.Now()
			p.fails("resource-constraint")
			if took := time.Since(begin); took < 9*time.Second || took > 11*time.Second {
				t.Errorf("after %v", took)
			}
			synctest.Wait()
			r.keptAre(16)
		})
	})
	t.Run("flood", func(t *testing.T) {
		r := newRig(t, noTLS+"[limits]\nsm_queue = 10\n")
		p, _ := r.managed(r.dial(), "alice", "x")
		for i := range 81 {
			r.say("alice@a.test/x", fmt.Sprint("m", i))
		}
		for range 82 {
			p.next()
		}
		p.fails("resource-constraint")
		r.keptAre(81)
	})
}

func (r *rig) keptAre(n int) {
	r.t.Helper()
	var kept []string
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if kept = get(r.watch, &r.watch.kept); len(kept) == n {
			return
		}
	}
	r.t.Errorf("kept %d of %d", len(kept), n)
}

// More hibernated sessions than an account may have: the one that sleeps longest goes.
func TestHibernatedLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS+"[limits]\nhibernated_per_account = 2\n")
		for i := range 4 {
			p, _ := r.managed(r.pipe(), "alice", fmt.Sprint("r", i))
			time.Sleep(time.Second)
			p.c.Close()
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if n := len(r.router.Sessions(jid("alice@a.test"))); n != 2 || r.srv.Stats().Hibernated != 2 {
			t.Errorf("%d sessions", n)
		}
		for _, res := range []string{"r2", "r3"} {
			if r.router.Session(jid("alice@a.test/"+res)) == nil {
				t.Errorf("%s is gone", res)
			}
		}
	})
}

// Many that fall asleep at once choose the same session to go, and still no more stay than may.
func TestHibernatedLimitAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS+"[limits]\nhibernated_per_account = 6\n")
		var peers []*peer
		for i := range 8 {
			p, _ := r.managed(r.pipe(), "alice", fmt.Sprint("r", i))
			peers = append(peers, p)
		}
		close := func(peers []*peer) {
			for _, p := range peers {
				p.c.Close()
			}
			synctest.Wait()
		}
		close(peers[:6])
		r.cfg.Limits.Hibernated = 2
		r.srv.Reload(r.cfg)
		close(peers[6:])
		if n := len(r.router.Sessions(jid("alice@a.test"))); n != 2 || r.srv.Stats().Hibernated != 2 {
			t.Errorf("%d sessions", n)
		}
		for _, res := range []string{"r6", "r7"} {
			if r.router.Session(jid("alice@a.test/"+res)) == nil {
				t.Errorf("%s is gone", res)
			}
		}
	})
}

// Where none may hibernate no resumption is promised, and what was promised before a reload ends too.
func TestNoneHibernates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		before, _ := r.managed(r.pipe(), "alice", "before")
		r.cfg.Limits.Hibernated = 0
		r.srv.Reload(r.cfg)
		after := r.pipe()
		r.bound(after, "alice", "after")
		after.send("<enable %s resume='true'/>", nsSM)
		after.want("<enabled " + nsSM + "/>")
		before.c.Close()
		after.c.Close()
		synctest.Wait()
		if n := len(r.router.Sessions(jid("alice@a.test"))); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

// A hibernated session does not keep its owner out.
func TestHibernatedMakesRoom(t *testing.T) {
	r := newRig(t, noTLS+"[limits]\nresources_per_account = 2\n")
	p, _ := r.managed(r.dial(), "alice", "x")
	r.client("alice", "y")
	p.c.Close()
	r.asleep("alice@a.test/x", true)
	r.client("alice", "z")
	if r.router.Session(jid("alice@a.test/x")) != nil {
		t.Error("still there")
	}
}

// The counters wrap around (XEP-0198 §4).
func TestCountersWrap(t *testing.T) {
	m := &sm{out: 1<<32 - 2, in: 1<<32 - 1}
	for range 4 {
		m.push(unacked{raw: []byte("x")})
		m.sent++
	}
	if m.ack(3) {
		if m.ack(1) || m.len() != 1 || m.out != 1 || m.bytes != 1 {
			t.Errorf("%+v", m)
		}
	} else {
		t.Error("one more than was sent is right")
	}
	if !m.ack(0) {
		t.Error("less than before is right")
	}
	if m.ack(2) || m.len() != 0 || m.bytes != 0 || m.sent != 0 {
		t.Errorf("%+v", m)
	}
}

func TestQueueMoves(t *testing.T) {
	m := &sm{}
	next, first := 0, 0
	for range 2000 {
		for range 3 {
			m.push(unacked{raw: []byte(fmt.Sprint(next))})
			next++
		}
		m.sent = m.len()
		n := m.len() * 2 / 3
		m.ack(m.out + uint32(n))
		first += n
		for i := range m.len() {
			if string(m.at(i).raw) != fmt.Sprint(first+i) {
				t.Fatalf("%s at %d, want %d", m.at(i).raw, i, first+i)
			}
		}
		if cap(m.queue) > 256 {
			t.Fatalf("%d entries for %d", cap(m.queue), m.len())
		}
	}
}
