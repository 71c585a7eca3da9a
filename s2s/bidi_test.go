package s2s

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// An outbound link carries stanzas back only where both sides have agreed (XEP-0288), and only of its pair.
func TestStanzasBack(t *testing.T) {
	for _, c := range []struct{ name, features, from, condition string }{
		{"agreed", "<bidi xmlns='urn:xmpp:features:bidi'/>", "bob@b.test", ""},
		{"another domain's", "<bidi xmlns='urn:xmpp:features:bidi'/>", "bob@c.test", "invalid-from"},
		{"ours", "<bidi xmlns='urn:xmpp:features:bidi'/>", "alice@a.test", "invalid-from"},
		{"not agreed", "", "bob@b.test", "not-authorized"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := newWorld(t)
				a := w.newRig("a.test", insecure)
				var end string
				w.plainPeer("b.test", c.features, func(p *peer) {
					p.next()
					p.send("<db:result from='c.test' to='a.test' type='valid'/><db:verify from='c.test' to='a.test' id='1' type='valid'/>")
					p.send("<message from='%s' to='alice@a.test' id='1'><body>hi</body></message>", c.from)
					for s := p.next(); s != ""; s = p.next() {
						end += s
					}
				})
				a.send("alice@a.test", "bob@b.test", "0")
				time.Sleep(time.Second)
				synctest.Wait()
				n := 0
				for _, got := range a.inbox.all() {
					if !like("<message type='error' *", got) || !strings.Contains(got, " id='0'") { // it is not answered, so it comes back with the end
						n++
					}
				}
				if (n == 1) != (c.condition == "") {
					t.Errorf("%d arrived", n)
				}
				if c.condition != "" && !strings.Contains(end, c.condition) {
					t.Errorf("it ended with %q", end)
				}
			})
		})
	}
}

// A link that another server opened carries ours back where it has asked for it, and after its end there is another one.
func TestBidiIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.newRig("a.test", "")
		p := r.admitted("<bidi xmlns='urn:xmpp:bidi'/>")
		r.send("alice@a.test", "bob@b.test", "one")
		p.want("<message from='alice@a.test' to='bob@b.test' id='one'>*")
		p.send("<iq type='result' from='b.test' to='a.test' id='%s'/>", pinged(p.next()))
		p.send("<enable xmlns='urn:xmpp:sm:3'/>")
		p.want("<enabled *")
		r.send("alice@a.test", "bob@b.test", "two")
		p.want("<message *id='two'>*")
		p.want("<r xmlns='urn:xmpp:sm:3'/>")
		r.send("alice@a.test", "x@c.test", "three") // that is not whom the link is for
		synctest.Wait()
		r.bounced(t, 1, "remote-server-not-found")
		if w.dialed("b.test") > 0 {
			t.Error("it opened a stream")
		}
		b := w.newRig("b.test", "")
		p.c.Close() // "two" is not acknowledged
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := b.inbox.wait(t, 1); !strings.Contains(got[0], "id='two'") {
			t.Errorf("%q", got)
		}

		r.admitted("") // without asking for it nothing comes
		b.srv.Close("a.test", nil)
		time.Sleep(3 * time.Second)
		r.send("alice@a.test", "bob@b.test", "four")
		b.inbox.wait(t, 2)
	})
}
