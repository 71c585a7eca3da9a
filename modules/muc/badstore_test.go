package muc

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// badStore is a store that takes its time, or takes nothing.
type badStore struct {
	storage.Bucket
	fail atomic.Pointer[error]         // what writes fail with
	slow atomic.Int32                  // how many times others may run before one is done
	held atomic.Pointer[chan struct{}] // if set, writes wait until it is closed
}

func (b *badStore) write() error {
	if c := b.held.Load(); c != nil {
		<-*c
	}
	for range b.slow.Load() {
		runtime.Gosched()
	}
	if err := b.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (b *badStore) failing(err error) {
	if err == nil {
		b.fail.Store(nil)
		return
	}
	b.fail.Store(&err)
}

func (b *badStore) Update(ctx context.Context, fn func(tx storage.Tx) error) error {
	if err := b.write(); err != nil {
		return err
	}
	return b.Bucket.Update(ctx, fn)
}

// badArchive is an archive of it.
type badArchive struct {
	storage.Archive
	b *badStore
}

func (a badArchive) AppendAll(ctx context.Context, list ...storage.Entry) ([]string, error) {
	if err := a.b.write(); err != nil {
		return nil, err
	}
	return a.Archive.AppendAll(ctx, list...)
}

func (a badArchive) Drop(ctx context.Context, owner string) error {
	if err := a.b.write(); err != nil {
		return err
	}
	return a.Archive.Drop(ctx, owner)
}

// worsen puts a bad store under a module that nobody uses at the moment.
func worsen(m *module) *badStore {
	b := &badStore{Bucket: m.store.Bucket}
	m.store.Bucket, m.reader.Archive = b, badArchive{m.reader.Archive, b}
	return b
}

// TestStoreFails: what cannot be written is told to nobody and changes nothing, who asked for it gets an error, and all is well again when
// the store is.
func TestStoreFails(t *testing.T) {
	for _, cause := range []error{storage.ErrFull, storage.ErrReadOnly, errors.New("broken")} {
		t.Run(cause.Error(), func(t *testing.T) {
			want := "resource-constraint"
			if cause.Error() == "broken" {
				want = "internal-server-error"
			}
			d := newRoom(t, "")
			d.settings(func(s *Settings) { s.Persistent, s.AllowInvites, s.MembersOnly = true, true, false })
			bob := d.join("bob@a.test/x", "Bob")
			bad := worsen(d.m)
			maker := d.Session("maker@a.test/x")
			enter(t, maker, "new", "Maker")
			d.olga.Sent()
			bob.Sent()
			affs, roles := d.state()
			bad.failing(cause)
			for what, xml := range map[string]string{
				"message":     "<message type='groupchat' id='x' to='" + denJID + "'><body>FAILED</body></message>",
				"subject":     "<message type='groupchat' id='x' to='" + denJID + "'><subject>FAILED</subject></message>",
				"ban":         "<iq type='set' id='x' to='" + denJID + "'><query xmlns='" + nsAdmin + "'><item affiliation='outcast' jid='bob@a.test'/></query></iq>",
				"configure":   "<iq type='set' id='x' to='" + denJID + "'><query xmlns='" + nsOwner + "'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + nsConfig + "</value></field><field var='muc#roomconfig_roomname'><value>FAILED</value></field></x></query></iq>",
				"destroy":     "<iq type='set' id='x' to='" + denJID + "'><query xmlns='" + nsOwner + "'><destroy/></query></iq>",
				"another new": "<presence id='x' to='other@" + service + "/O'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
			} {
				d.olga.Say(xml)
				got := modtest.XML(d.olga.Sent())
				have(t, got, "type='error'", want, "id='x'")
				if strings.Count(got, "<message")+strings.Count(got, "<presence")+strings.Count(got, "<iq") != 1 {
					t.Errorf("%s: more than the error: %s", what, got)
				}
				if got := modtest.XML(bob.Sent()); got != "" {
					t.Errorf("%s: others are told: %s", what, got)
				}
			}
			if c := condition(maker.IQ("set", "new@"+service, "<query xmlns='"+nsOwner+"'><x xmlns='jabber:x:data' type='submit'/></query>")); c != want {
				t.Errorf("a new room is made: %q", c)
			}
			bad.failing(nil)

			affs2, roles2 := d.state()
			if fmt.Sprint(affs, roles) != fmt.Sprint(affs2, roles2) {
				t.Errorf("%v %v became %v %v", affs, roles, affs2, roles2)
			}
			d.do(func(r *room) {
				rec, _, ok, err := d.m.store.load(r.ctx, "den")
				if !ok || err != nil || rec.Settings != r.rec.Settings || rec.Subject != r.rec.Subject || rec.Settings.Name != "" || rec.Subject.Text != "" {
					t.Errorf("on disk %v, in memory %v, %v", rec, r.rec, err)
				}
			})
			if n := len(d.m.loaded()); n != 2 {
				t.Errorf("%d rooms in memory", n)
			}
			open(t, maker, "new", "Maker")
			d.olga.Say("<message type='groupchat' id='y' to='" + denJID + "'><body>again</body></message>")
			have(t, modtest.XML(bob.Sent()), "again")
			if n := len(d.m.fresh); n != 0 {
				t.Errorf("%d rooms are said to be in the making", n)
			}
		})
	}
}

// TestStoreWaits: while the store takes its time for one room, people of that room wait, and nobody else does.
func TestStoreWaits(t *testing.T) {
	d := newRoom(t, "")
	d.join("bob@a.test/x", "Bob")
	open(t, d.Session("carol@a.test/x"), "other", "Carol")
	dave := d.Session("dave@a.test/x")
	bad := worsen(d.m)
	gate := make(chan struct{})
	bad.held.Store(&gate)
	var wg sync.WaitGroup
	const waiting = 3 * maxTurn
	for i := range waiting {
		p := groupchat(t, "bob@a.test/x", fmt.Sprint(i))
		wg.Go(func() { d.Router.Route(context.Background(), p) })
	}
	have(t, enter(t, dave, "other", "Dave"), "code='110'")
	if len(bodies(d.olga.Sent())) != 0 {
		t.Error("told before it is on disk")
	}
	close(gate)
	bad.held.Store(nil)
	wg.Wait()
	if n := len(bodies(d.olga.Sent())); n != waiting {
		t.Errorf("%d of %d messages", n, waiting)
	}
}

// TestBadStore: many do all that can be done in a room at once, while its store is slow and fails now and then. Nobody waits for ever, and
// what was told is what is on disk, in the same order.
func TestBadStore(t *testing.T) {
	const people, each = 8, 150
	d := newRoom(t, "[modules.mod_muc]\nroom_persistent = true\n")
	d.settings(func(s *Settings) { s.ChangeSubject = true })
	type person struct {
		*modtest.Session
		packets []*modules.Packet
	}
	packet := func(xml string, args ...any) *modules.Packet {
		st, err := stanza.Parse(fmt.Appendf(nil, xml, args...))
		if err != nil {
			t.Fatal(err)
		}
		return modules.NewPacket(st)
	}
	var all []*person
	for i := range people {
		p := &person{Session: d.Session(fmt.Sprintf("u%d@a.test/x", i))}
		rnd := rand.New(rand.NewPCG(uint64(i), 1))
		nick := func() string { return fmt.Sprintf("%s/n%d", denJID, rnd.IntN(people)) }
		for k := range each {
			var q *modules.Packet
			switch rnd.IntN(10) {
			case 0:
				q = packet("<presence from='%s' to='%s/n%d'><x xmlns='http://jabber.org/protocol/muc'/></presence>", p.JID(), denJID, i)
			case 1:
				q = packet("<presence type='unavailable' from='%s' to='%s/n%d'/>", p.JID(), denJID, i)
			case 2:
				q = packet("<message type='groupchat' id='s' from='%s' to='%s'><subject>s%d.%d</subject></message>", p.JID(), denJID, i, k)
			case 3:
				q = packet("<message type='chat' id='p' from='%s' to='%s'><body>pm</body></message>", p.JID(), nick())
			case 4:
				q = packet("<iq type='get' id='i' from='%s' to='%s'>%s</iq>", p.JID(), nick(), lastActivity)
			case 5:
				q = packet("<iq type='set' id='a' from='olga@a.test/desk' to='%s'><query xmlns='%s'><item affiliation='%s' jid='u%d@a.test'/></query></iq>",
					denJID, nsAdmin, []string{"member", "none", "admin"}[rnd.IntN(3)], rnd.IntN(people))
			default:
				q = packet("<message type='groupchat' id='m%d.%d' from='%s' to='%s'><body>m%d.%d</body></message>", i, k, p.JID(), denJID, i, k)
			}
			p.packets = append(p.packets, q)
		}
		all = append(all, p)
	}
	all[0].Refuse(errors.New("gone")) // what is sent to him comes back while the room works
	for i, p := range all {
		enter(t, p.Session, "den", fmt.Sprintf("n%d", i))
	}
	d.olga.Sent()
	bad := worsen(d.m)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		full := storage.ErrFull
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			bad.slow.Store(int32(i % 40))
			bad.failing([]error{nil, nil, full}[i/7%3])
			runtime.Gosched()
		}
	}()
	var wg sync.WaitGroup
	for _, p := range all {
		wg.Go(func() {
			for _, q := range p.packets {
				d.Router.Route(context.Background(), q)
			}
		})
	}
	wg.Wait()
	close(stop)
	<-stopped
	bad.failing(nil)
	bad.slow.Store(0)

	var told []string
	subject := ""
	for _, st := range d.olga.Sent() {
		switch {
		case st.Type != stanza.TypeGroupchat:
		case st.Has("", "subject"):
			subject = st.Text("subject")
			if id := st.StanzaID(stanza.MustJID(denJID)); id != "" { // the subject was on disk, and the archive took nothing more
				told = append(told, " "+id)
			}
		case st.Has("", "body"):
			told = append(told, st.Text("body")+" "+st.StanzaID(stanza.MustJID(denJID)))
		}
	}
	var kept []string
	for after := ""; ; {
		list, answer := queryArchive(t, d.olga, "<set xmlns='http://jabber.org/protocol/rsm'><max>100</max>"+after+"</set>")
		for _, m := range list {
			_, m, _ = strings.Cut(m, " ")
			kept = append(kept, m)
		}
		if answer.Type != stanza.TypeResult || len(list) < 100 {
			break
		}
		_, id, _ := strings.Cut(kept[len(kept)-1], " ")
		after = "<after>" + id + "</after>"
	}
	if strings.Join(told, "\n") != strings.Join(kept, "\n") || len(told) == 0 {
		t.Errorf("%d told, %d on disk", len(told), len(kept))
	}
	d.state()
	d.do(func(r *room) {
		rec, _, ok, err := d.m.store.load(r.ctx, "den")
		if !ok || err != nil || rec.Subject.Text != subject || r.rec.Subject.Text != subject {
			t.Errorf("the last subject told is %q, on disk it is %q, in memory %q, %v", subject, rec.Subject.Text, r.rec.Subject.Text, err)
		}
		if n := len(r.queue.tasks); n != 0 {
			t.Errorf("%d tasks are left", n)
		}
	})
	refused := 0
	for _, p := range all[1:] {
		for _, st := range p.Sent() {
			if st.Type == stanza.TypeError && strings.HasPrefix(st.ID(), "m") {
				for _, line := range told {
					if said, _, _ := strings.Cut(line, " "); said == st.ID() {
						t.Errorf("%s was refused, and all were told", said)
					}
				}
				refused++
			}
		}
	}
	if refused == 0 || strings.Contains(d.Log(), "panic") {
		t.Errorf("%d refused; %s", refused, d.Log())
	}
}

// TestRoomsPerAccountAtOnce: who makes many rooms at the same time has no more of them, and what was refused is not counted.
func TestRoomsPerAccountAtOnce(t *testing.T) {
	const limit = 3
	h := modtest.NewConfig(t, "a.test", fmt.Sprintf("[modules.mod_muc]\nrooms_per_account = %d\n", limit), Info)
	m := moduleOf(t, h)
	bad := worsen(m)
	bad.slow.Store(50)
	var wg sync.WaitGroup
	var in atomic.Int32
	for i := range 12 {
		s := h.Session(fmt.Sprintf("eve@a.test/r%d", i))
		wg.Go(func() {
			s.Say(fmt.Sprintf("<presence to='r%d@%s/Eve'><x xmlns='http://jabber.org/protocol/muc'/></presence>", i, service))
			if got := modtest.XML(s.Sent()); strings.Contains(got, "code='201'") {
				in.Add(1)
			} else if !strings.Contains(got, "resource-constraint") {
				t.Errorf("got %s", got)
			}
		})
	}
	wg.Wait()
	if n := in.Load(); n < 1 || n > limit {
		t.Errorf("%d rooms", n)
	}
	for i := range limit { // as many as he may have, one after the other
		enter(t, h.Session(fmt.Sprintf("eve@a.test/later%d", i)), fmt.Sprintf("later%d", i), "Eve")
	}
	if n := len(m.loaded()); n != limit {
		t.Errorf("%d rooms in memory", n)
	}
}
