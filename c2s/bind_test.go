package c2s

import (
	"context"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
)

const bindOpen = "<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"

func TestBind(t *testing.T) {
	r := newRig(t, noTLS)
	for _, c := range []struct{ name, send, want string }{
		{"server's choice", bindOpen + "</bind></iq>", "<iq type='result' id='b1'>*<jid>alice@a.test/*</jid>*"},
		{"empty", bindOpen + "<resource/></bind></iq>", "<iq type='result' id='b1'>*<jid>alice@a.test/?*</jid>*"},
		{"prepared", bindOpen + "<resource>a&#xA0;b</resource></bind></iq>", "<iq type='result' id='b1'>*<jid>alice@a.test/a b</jid>*"},
		{"escaped", bindOpen + "<resource>&lt;&amp;'</resource></bind></iq>", "<iq type='result' id='b1'>*<jid>alice@a.test/&lt;&amp;*"},
		{"not allowed", bindOpen + "<resource>a&#x200E;b&#x7;</resource></bind></iq>", "*"},
		{"too long", bindOpen + "<resource>" + strings.Repeat("x", 1024) + "</resource></bind></iq>", "<iq type='error' id='b1'*<bad-request *"},
		{"get", strings.Replace(bindOpen, "set", "get", 1) + "</bind></iq>", "<iq type='error' id='b1'*<bad-request *"},
		{"two children", bindOpen + "</bind><a xmlns='urn:a'/></iq>", "<iq type='error' id='b1'*<bad-request *"},
		{"no id", strings.Replace(bindOpen, " id='b1'", "", 1) + "</bind></iq>", "<iq type='error'*<bad-request *"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.dial()
			p.t = t
			p.login("alice")
			p.send("%s", c.send)
			got := p.want(strings.ReplaceAll(c.want, "?", ""))
			if strings.Contains(c.want, "bad-request") { // the client may try again
				p.bind("again")
			}
			if c.name == "empty" && strings.Contains(got, "a.test/<") {
				t.Error(got)
			}
			p.c.Close()
		})
	}
}

func TestSecondBind(t *testing.T) { // X32
	r := newRig(t, noTLS)
	p := r.client("alice", "x")
	p.send("%s</bind></iq>", bindOpen)
	p.want("<iq type='error' id='b1' *<error *")
	p.quiet()
}

func TestConflict(t *testing.T) {
	for _, c := range []struct{ policy, jid string }{
		{"kick_old", "alice@a.test/x"}, {"rename", "alice@a.test/x-"}, {"refuse", ""},
	} {
		t.Run(c.policy, func(t *testing.T) {
			r := newRig(t, noTLS+"resource_conflict = \""+c.policy+"\"\n")
			old := r.client("alice", "x")
			p := r.dial()
			p.login("alice")
			if c.policy == "refuse" {
				p.send("%s<resource>x</resource></bind></iq>", bindOpen)
				p.want("<iq type='error' id='b1'>*<conflict *")
				old.quiet()
				p.bind("y")
				return
			}
			if got := p.bind("x"); !strings.HasPrefix(got, c.jid) {
				t.Errorf("bound %s", got)
			}
			if c.policy == "kick_old" {
				old.fails("conflict")
				if ev := strings.Join(r.watch.seen(), ", "); ev != "opened alice@a.test/x, closed alice@a.test/x, opened alice@a.test/x" {
					t.Error(ev)
				}
			} else {
				old.quiet()
			}
			p.quiet()
		})
	}
}

func TestResourceLimit(t *testing.T) { // R10
	r := newRig(t, noTLS+"[limits]\nresources_per_account = 2\n")
	r.client("alice", "1")
	r.client("alice", "2")
	p := r.dial()
	p.login("alice")
	p.send("%s</bind></iq>", bindOpen)
	p.want("<iq type='error' id='b1'><error type='wait'><resource-constraint *")
	r.client("bob", "1")
	p.send("%s<resource>2</resource></bind></iq>", bindOpen) // in place of another
	p.want("<iq type='result' *")
}

// Many binds of one name at once leave one session, and every session that began has ended.
func TestConflictRace(t *testing.T) {
	r := newRig(t, noTLS)
	done := make(chan struct{})
	var peers []*peer
	for range 8 {
		p := r.dial()
		p.login("alice")
		peers = append(peers, p)
	}
	for _, p := range peers {
		go func() {
			defer func() { done <- struct{}{} }()
			p.c.Write([]byte(bindOpen + "<resource>x</resource></bind></iq>"))
		}()
	}
	for range peers {
		<-done
	}
	won := 0
	for _, p := range peers {
		if got := p.next(); strings.HasPrefix(got, "<iq type='result'") {
			won++
		}
	}
	if n := len(r.router.Sessions(jid("alice@a.test"))); n != 1 || won == 0 {
		t.Errorf("%d sessions, %d were told that they have one", n, won)
	}
}

// What a handler of SessionOpened sends comes after the answer to bind, and the client's first stanza after that.
func TestOrderOfOpening(t *testing.T) {
	r := newRig(t, noTLS)
	set(r.watch, &r.watch.opened, func(ctx context.Context, s modules.Session) {
		s.Send(ctx, message("a.test", s.JID().String(), "welcome"))
	})
	p := r.dial()
	p.login("alice")
	p.send("%s<resource>x</resource></bind></iq><iq type='get' id='1' to='a.test'><x xmlns='urn:test'/></iq>", bindOpen)
	p.want("<iq type='result' id='b1'>*")
	p.want("<message *welcome*")
	p.want("<iq type='result' id='1' *")
}

// Nobody is kept out of his own name by a session that has lost its connection.
func TestRefuseHibernated(t *testing.T) {
	r := newRig(t, noTLS+"resource_conflict = \"refuse\"\n")
	p, _ := r.managed(r.dial(), "alice", "x")
	p.c.Close()
	r.asleep("alice@a.test/x", true)
	r.client("alice", "x")
}
