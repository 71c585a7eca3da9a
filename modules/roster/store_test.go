package roster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

func TestRecord(t *testing.T) {
	for _, it := range []*item{
		{jid: stanza.MustJID(romeo)},
		{jid: stanza.MustJID(romeo), state: subTo | subFrom, listed: true, ver: 1 << 60, name: "Röméo", groups: []string{"a", "b & c"}},
		{jid: stanza.MustJID(romeo), state: pendingIn | pendingOut | approved},
	} {
		got, err := parseItem(it.jid, it.record())
		if err != nil || !reflect.DeepEqual(got, it) {
			t.Errorf("%+v became %+v, %v", it, got, err)
		}
	}
}

// FuzzRecord: a record is refused or means what it says.
func FuzzRecord(f *testing.F) {
	f.Add((&item{state: subTo, listed: true, ver: 7, name: "x", groups: []string{"a"}}).record())
	f.Add([]byte{format, 0x80, 0, 0, 0xff, 0xff, 0x03})
	f.Fuzz(func(t *testing.T, b []byte) {
		it, err := parseItem(stanza.JID{}, b)
		if err != nil {
			return
		}
		again, err := parseItem(stanza.JID{}, it.record())
		if err != nil || !reflect.DeepEqual(it, again) {
			t.Fatalf("%+v became %+v, %v", it, again, err)
		}
	})
}

// FuzzGone does the same for what was removed.
func FuzzGone(f *testing.F) {
	f.Add((&list{floor: 3, gone: []removal{{stanza.MustJID(romeo), 4}}}).goneRecord())
	f.Fuzz(func(t *testing.T, b []byte) {
		var l, again list
		if l.parseGone(b) != nil {
			return
		}
		if err := again.parseGone(l.goneRecord()); err != nil || !reflect.DeepEqual(&l, &again) {
			t.Fatalf("%+v became %+v, %v", &l, &again, err)
		}
	})
}

// A change that cannot be stored is not pushed, not routed and not remembered.
func TestWriteFails(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	h.put(alice, romeo, subTo)
	a.Sent()
	for _, c := range []struct {
		err  error
		want stanza.Condition
	}{
		{storage.ErrFull, stanza.ResourceConstraint},
		{storage.ErrReadOnly, stanza.ResourceConstraint},
		{errors.New("disk on fire"), stanza.InternalServerError},
	} {
		h.m.h.Store = failing{h.m.h.Store, c.err}
		for _, payload := range []string{"<item jid='romeo@b.test' subscription='remove'/>", "<item jid='new@b.test'/>"} {
			r := a.IQ("set", "", query(payload))
			if e := r.StanzaError(); e == nil || e.Condition != c.want || bytes.Contains(r.AppendTo(nil), []byte("fire")) {
				t.Errorf("%v: %s", c.err, r.AppendTo(nil))
			}
		}
		a.Say("<presence type='unsubscribe' to='romeo@b.test' id='u'/>")
		if got := h.Sent(); len(got) > 0 {
			t.Errorf("%v: sent %s", c.err, got[0].AppendTo(nil))
		}
		equal(t, "pushed", pushes(t, a.Sent()))
		h.m.h.Store = h.m.h.Store.(failing).Bucket
		items, _ := roster(t, a.IQ("get", "", query("")))
		equal(t, "roster", items, "romeo@b.test to")
	}
}

// failing is a bucket that cannot be written.
type failing struct {
	storage.Bucket
	err error
}

func (f failing) Update(context.Context, func(storage.Tx) error) error { return f.err }

// A damaged record is an error, not an empty roster.
func TestDamagedRecord(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	h.put(alice, romeo, subTo)
	if err := h.m.h.Store.KV(kvItems).Put(context.Background(), contactKey("alice", stanza.MustJID(romeo)), []byte{99}); err != nil {
		t.Fatal(err)
	}
	h.restart()
	r := a.IQ("get", "", query(""))
	if e := r.StanzaError(); e == nil || e.Condition != stanza.InternalServerError {
		t.Errorf("got %s", r.AppendTo(nil))
	}
	if h.m.Subscribed(context.Background(), stanza.MustJID(alice), stanza.MustJID(romeo)) {
		t.Error("a roster that cannot be read lets somebody in")
	}
}

// A damaged roster can be removed, and what comes after it is new.
func TestDamagedRosterCanGo(t *testing.T) {
	h := newHost(t)
	ctx := context.Background()
	h.User("alice")
	h.put(alice, romeo, subTo)
	h.put(alice, "paris@b.test", pendingIn)
	if err := h.m.h.Store.KV(kvItems).Put(ctx, contactKey("alice", stanza.MustJID(romeo)), []byte{99}); err != nil {
		t.Fatal(err)
	}
	h.restart()
	if err := h.Users.Delete(ctx, "alice"); err != nil {
		t.Fatal(err)
	}
	a := h.Session(alice + "/one")
	r := a.IQ("get", "", "<query xmlns='jabber:iq:roster' ver='1'/>")
	if items, ver := roster(t, r); len(items) > 0 || len(ver) < 10 {
		t.Errorf("%v, version %s", items, ver)
	}
	a.Available(0, "")
	if got := presences(a.Sent()); len(got) != 1 {
		t.Errorf("alice hears %v", got)
	}
}

// Accounts whose names begin alike do not share anything.
func TestOwnersAreApart(t *testing.T) {
	h := newHost(t)
	h.User("al")
	h.put("al@a.test", romeo, subTo)
	h.put(alice, "juliet@b.test", subFrom)
	h.restart()
	for owner, want := range map[string]int{"al": 1, "alice": 1, "a": 0} {
		l, err := h.m.list(context.Background(), owner)
		if err != nil || len(l.items) != want {
			t.Errorf("%s has %d items, %v", owner, len(l.items), err)
		}
	}
}

// Changes of one account from several sides at once: none is lost, versions rise without a gap, pushes come in order.
func TestConcurrentChanges(t *testing.T) {
	h := newHost(t)
	a := h.login(alice + "/one")
	const workers, each = 4, 25
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				h.put(alice, fmt.Sprintf("c%d-%d@b.test", w, i), subTo)
				h.m.Subscribed(context.Background(), stanza.MustJID(alice), stanza.MustJID(romeo))
			}
		})
	}
	wg.Wait()
	for i, st := range a.Sent() {
		if ver := st.Payload().Attr("ver"); ver != fmt.Sprint(i+1) {
			t.Fatalf("push %d has version %s", i+1, ver)
		}
	}
	l, err := h.m.load(context.Background(), "alice")
	if err != nil || len(l.items) != workers*each || l.ver != workers*each {
		t.Errorf("%d items, version %d, %v", len(l.items), l.ver, err)
	}
}

func TestCache(t *testing.T) {
	c := newCache(10)
	fill := func(owner string, items int) *list {
		l := &list{items: map[stanza.JID]*item{}}
		for i := range items {
			j := stanza.MustJID(fmt.Sprintf("c%d@b.test", i))
			l.items[j] = &item{jid: j}
		}
		_, ticket := c.get(owner)
		c.fill(owner, l, ticket)
		return l
	}
	has := func(owner string) bool { l, _ := c.get(owner); return l != nil }
	a := fill("a", 3)
	fill("b", 3)
	if l, _ := c.get("a"); l != a {
		t.Error("a is not what was put")
	}
	fill("c", 3) // 12 by weight: b, not read since, goes
	if !has("a") || has("b") || !has("c") || c.lru.Weight() != 8 {
		t.Errorf("a %v, b %v, c %v, weight %d", has("a"), has("b"), has("c"), c.lru.Weight())
	}
	fill("huge", 20)
	if has("huge") || c.lru.Weight() != 0 || c.lru.Len() != 0 {
		t.Errorf("a list larger than the cache: weight %d, %d entries", c.lru.Weight(), c.lru.Len())
	}
	// What was read before or during a change is not kept.
	_, ticket := c.get("a")
	c.begin("a")
	_, during := c.get("a")
	c.fill("a", a, during)
	if has("a") {
		t.Error("kept what was read during a change")
	}
	next := &list{}
	c.end("a", next)
	c.fill("a", a, ticket)
	if l, _ := c.get("a"); l != next {
		t.Error("an old list replaced a new one")
	}
	c.begin("a")
	c.end("a", nil)
	if has("a") || c.lru.Weight() != 0 {
		t.Error("kept what is not known")
	}
	fill("a", 8)
	c.resize(5)
	if has("a") || c.lru.Len() != 0 {
		t.Error("kept more than the new size")
	}
}
