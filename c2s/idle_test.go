package c2s

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p := r.bound(r.pipe(), "alice", "x")
		p.patience = time.Hour
		begin := time.Now()
		got := p.want("<iq type='get' id='ping-*' from='a.test' to='alice@a.test/x'><ping xmlns='urn:xmpp:ping'/></iq>")
		if d := time.Since(begin); d != 5*time.Minute {
			t.Errorf("asked after %v", d)
		}
		_ = got
		time.Sleep(time.Minute)
		p.send("<iq type='result' id='ping-x' to='a.test'/>")
		begin = time.Now()
		p.want("<iq type='get' id='ping-*")
		if d := time.Since(begin); d != 5*time.Minute {
			t.Errorf("asked again after %v", d)
		}
		p.fails("connection-timeout")
		if d := time.Since(begin); d < 15*time.Minute || d > 15*time.Minute+3*time.Second {
			t.Errorf("ended after %v", d)
		}
		synctest.Wait()
		if r.router.Session(jid("alice@a.test/x")) != nil {
			t.Error("still there")
		}
	})
}

// A busy client is not asked, and the deadline does not move with each of its stanzas.
func TestNotIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p := r.bound(r.pipe(), "alice", "x")
		for range 60 {
			p.quiet()
			time.Sleep(time.Minute)
		}
	})
}

// A client that takes nothing any more is gone when it cannot be asked (H04).
func TestStalledClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		r.bound(r.pipe(), "alice", "x")
		time.Sleep(5*time.Minute + 31*time.Second)
		synctest.Wait()
		if r.router.Session(jid("alice@a.test/x")) != nil || r.srv.Stats().Connections != 0 {
			t.Error("still there")
		}
	})
}

// White space is a sign of life (RFC 6120 §4.6.1).
func TestWhiteSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p := r.bound(r.pipe(), "alice", "x")
		for range 60 {
			p.send(" ")
			time.Sleep(time.Minute)
		}
		p.quiet()
	})
}

// With XEP-0198 the question is for an acknowledgement, and who does not answer may come back (H06).
func TestIdleManaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p, id := r.managed(r.pipe(), "alice", "x")
		p.patience = time.Hour
		p.want("<r " + nsSM + "/>")
		p.send("<a %s h='0'/>", nsSM)
		p.want("<r " + nsSM + "/>")
		p.fails("connection-timeout")
		r.asleep("alice@a.test/x", true)
		p = r.resume(r.pipe(), "alice", id, 0)
		p.want("<resumed *")
	})
}

// H03: a stanza must arrive in time; under XEP-0198 the client may come back and send it again.
func TestTrickledStanza(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS)
		p, _ := r.managed(r.pipe(), "alice", "x")
		p.patience = time.Hour
		begin := time.Now()
		go func() {
			for _, b := range []byte("<message to='bob@a.test'><body>this takes longer than one can wait for") {
				if _, err := p.c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		}()
		p.fails("connection-timeout")
		if d := time.Since(begin); d < 2*time.Minute || d > 2*time.Minute+3*time.Second {
			t.Errorf("ended after %v", d)
		}
		r.asleep("alice@a.test/x", true)
	})
}

func TestShutdown(t *testing.T) { // O06
	r := newRig(t, noTLS)
	waiting := r.dial()
	waiting.header("to='a.test'")
	plain := r.client("bob", "y")
	live, _ := r.managed(r.dial(), "alice", "live")
	asleep, _ := r.managed(r.dial(), "alice", "asleep")
	asleep.c.Close()
	r.asleep("alice@a.test/asleep", true)
	r.say("alice@a.test/live", "one")
	live.want("<message *")
	live.want("<r *")
	r.say("alice@a.test/asleep", "two")
	done := make(chan error)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		done <- r.srv.Shutdown(ctx)
	}()
	for _, p := range []*peer{waiting, plain, live} {
		p.fails("system-shutdown")
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	r.keptAre(2)
	for _, j := range []string{"bob@a.test/y", "alice@a.test/live", "alice@a.test/asleep"} {
		r.watch.until(t, "closed "+j)
		if r.router.Session(jid(j)) != nil {
			t.Errorf("%s is there", j)
		}
	}
	if st := r.srv.Stats(); st.Connections != 0 || st.Waiting != 0 || st.Hibernated != 0 {
		t.Errorf("%+v", st)
	}
}
