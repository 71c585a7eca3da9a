package muc

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// room is a room in memory. But for m, jid and the queue, all is touched by its tasks only.
type room struct {
	m   *module
	jid stanza.JID // bare
	queue

	known     bool // it was looked for on disk
	exists    bool
	locked    bool       // made, and not configured yet (§10.1.2): it is not on disk
	maker     stanza.JID // of a locked room: bare
	rec       record
	affs      map[stanza.JID]affiliated // by bare JID
	nicks     map[string]*occupant
	sessions  map[stanza.JID]*session // by full JID
	present   []*session              // the same, in the order in which they came
	history   history
	paces     map[stanza.JID]pace // by bare JID
	pacesKept int                 // at how many some are forgotten
	asked     map[string]asked    // by id of ours
	passed    []passed            // oldest first
	invited   map[invitedKey]invited
	voices    map[stanza.JID]time.Time // when somebody last asked for voice, by bare JID
	used      time.Time                // when somebody last asked for something

	packet modules.Packet // for all that it sends
}

// occupant is somebody in a room, with one or more sessions.
type occupant struct {
	jid      stanza.JID // ROOM@SERVICE/NICK
	bare     stanza.JID // who that is
	id       string     // XEP-0421
	role     Role
	sessions []*session
	shown    *session // whose presence the others see
}

// session is a client of an occupant.
type session struct {
	full     stanza.JID
	occupant *occupant
	presence *stanza.Stanza // as it was sent last, without what is the room's to say; retained
	left     bool
}

func (o *occupant) nick() string { return o.jid.Resource() }

// sweepEvery is how often rooms are looked through that nobody uses; unusedFor, how long one stays in memory.
const (
	sweepEvery = 10 * time.Minute
	unusedFor  = 10 * time.Minute
)

// room returns the room of an address, which need not exist.
func (m *module) room(jid stanza.JID) *room {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.rooms[jid.Local()]
	if r == nil {
		r = &room{m: m, jid: jid.Bare()}
		r.init()
		m.rooms[jid.Local()] = r
	}
	return r
}

// loaded returns the rooms in memory.
func (m *module) loaded() []*room {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Values(m.rooms))
}

// forget takes a room out of memory. Its queue takes nothing more.
func (m *module) forget(r *room) {
	m.mu.Lock()
	if m.rooms[r.jid.Local()] == r {
		delete(m.rooms, r.jid.Local())
	}
	m.mu.Unlock()
}

// in has something done in a room, in its turn.
func (m *module) in(ctx context.Context, p *modules.Packet, jid stanza.JID, fn func(r *room, ctx context.Context, p *modules.Packet)) {
	m.inOr(ctx, p, jid, fn, nil)
}

// inOr is in, with what to do instead where the room cannot be read.
func (m *module) inOr(ctx context.Context, p *modules.Packet, jid stanza.JID, fn func(*room, context.Context, *modules.Packet), lost func(context.Context, error)) {
	for {
		r := m.room(jid)
		t := &task{p: p, run: func(ctx context.Context, p *modules.Packet) { fn(r, ctx, p) }, lost: lost}
		if r.do(ctx, t) {
			return
		}
	}
}

// read reads the room from disk, once.
func (r *room) read() error {
	r.used = time.Now()
	if r.known {
		return nil
	}
	rec, affs, ok, err := r.m.store.load(r.ctx, r.jid.Local())
	if err != nil {
		return err
	}
	r.known, r.exists, r.rec, r.affs = true, ok, rec, affs
	r.nicks, r.sessions = map[string]*occupant{}, map[stanza.JID]*session{}
	return nil
}

// idle tells whether the room need not be in memory: it does not exist, or nobody has used it for a while.
func (r *room) idle() bool {
	return len(r.present) == 0 && (!r.exists || time.Since(r.used) > unusedFor)
}

// open tells whether the room is there for others than its maker (§10.1.3).
func (r *room) open() bool { return r.exists && !r.locked }

// affiliation returns what somebody is to the room. Admins of the host own all rooms.
func (r *room) affiliation(who stanza.JID) Affiliation {
	who = who.Bare()
	if r.m.h.Admin(who) {
		return Owner
	}
	if a, ok := r.affs[who]; ok {
		return a.Affiliation
	}
	if a, ok := r.affs[who.Host()]; ok && a.Affiliation <= Member { // §9.1, §9.3: a whole domain may be banned, or be a member
		return a.Affiliation
	}
	return None
}

// occupantOf returns the occupant and the session of a full JID, or nil.
func (r *room) occupantOf(full stanza.JID) (*occupant, *session) {
	if s := r.sessions[full]; s != nil {
		return s.occupant, s
	}
	return nil, nil
}

// add makes a session one of the room's.
func (r *room) add(o *occupant, s *session) {
	s.occupant, o.shown = o, s
	o.sessions = append(o.sessions, s)
	r.nicks[o.nick()] = o
	r.sessions[s.full] = s
	r.present = append(r.present, s)
}

// drop takes a session out of the room. If it was the occupant's last, he is out too.
func (r *room) drop(s *session) (last bool) {
	o := s.occupant
	s.left = true
	o.sessions = without(o.sessions, s)
	r.present = without(r.present, s)
	delete(r.sessions, s.full)
	if len(o.sessions) > 0 {
		if o.shown == s {
			o.shown = o.sessions[len(o.sessions)-1]
		}
		return false
	}
	delete(r.nicks, o.nick())
	return true
}

// dropAll takes all sessions out of the room and returns them.
func (r *room) dropAll() []*session {
	there := r.present
	for _, s := range there {
		s.left = true
	}
	r.present, r.nicks, r.sessions, r.asked = nil, map[string]*occupant{}, map[stanza.JID]*session{}, nil
	return there
}

// without returns a new list that lacks one element: others may be going through the old one.
func without[T comparable](list []T, x T) []T {
	out := make([]T, 0, len(list))
	for _, y := range list {
		if y != x {
			out = append(out, y)
		}
	}
	return out
}

// save writes changes of the room to disk and then makes them. A room that is still locked is in memory alone.
func (r *room) save(ctx context.Context, c change) error {
	if !r.locked {
		if err := r.m.store.save(ctx, r.jid.Local(), c); err != nil {
			return err
		}
	}
	if c.rec != nil {
		r.rec = *c.rec
	}
	for who, a := range c.affs {
		if a.Affiliation == None {
			delete(r.affs, who)
		} else {
			r.affs[who] = a
		}
	}
	return nil
}

// unlock makes a new room one that others can enter, and that is on disk (§10.1.2, §10.1.3).
func (r *room) unlock(ctx context.Context, s Settings) error {
	rec := r.rec
	rec.Settings = s
	r.locked = false
	if err := r.save(ctx, change{rec: &rec, affs: r.affs}); err != nil {
		r.locked = true
		return err
	}
	r.m.made(r.maker)
	return nil
}

// settle takes a new room as it is when its maker speaks or invites in it. COMPAT: there are clients that never ask for the
// configuration, and what they make would stay empty; §10.1.2 asks for an empty form, and §16.5 would have them told that there is
// no such room.
func (r *room) settle(ctx context.Context, who stanza.JID) {
	if o, _ := r.occupantOf(who); o == nil || !r.locked || r.affiliation(who) != Owner {
		return
	}
	if err := r.unlock(ctx, r.rec.Settings); err != nil {
		r.m.h.Log.Error("room not stored", "room", r.jid.String(), "err", err)
	}
}

// made takes a room off the count of those that somebody is making: it is on disk now, or gone.
func (m *module) made(who stanza.JID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fresh[who]--; m.fresh[who] <= 0 {
		delete(m.fresh, who)
	}
}

// remove makes the room one that does not exist. Nobody is in it any more.
func (r *room) remove(ctx context.Context) error {
	if r.locked {
		r.m.made(r.maker)
	} else if err := r.m.reader.Archive.Drop(ctx, r.jid.Local()); err != nil { // first: it is nobody's without the room
		return err
	} else if err := r.m.store.remove(ctx, r.jid.Local(), r.rec.Creator); err != nil {
		return err
	}
	r.exists, r.locked, r.rec, r.affs, r.history = false, false, record{}, nil, history{}
	r.invited, r.voices, r.passed = nil, nil, nil
	return nil
}

// tidy forgets rooms that nobody uses, and removes those on disk that were to stay only as long as somebody is in them: after a
// restart nobody was.
func (m *module) tidy(ctx context.Context) {
	m.reader.Expire(ctx, time.Duration(m.cfg.Load().Retention))
	for _, r := range m.loaded() {
		r.queue.mu.Lock()
		if !r.busy && len(r.tasks) == 0 && r.idle() {
			r.ended = true
			m.forget(r)
		}
		r.queue.mu.Unlock()
	}
	var old []string
	err := m.store.each(ctx, func(local string, rec *record) bool {
		if !rec.Settings.Persistent {
			old = append(old, local)
		}
		return ctx.Err() == nil
	})
	if err != nil {
		m.h.Log.Error("rooms not looked through", "err", err)
	}
	for _, local := range old {
		jid, err := stanza.NewJID(local, m.domain.Domain(), "")
		if err != nil || ctx.Err() != nil {
			continue
		}
		m.in(ctx, nil, jid, func(r *room, ctx context.Context, _ *modules.Packet) { r.vanish(ctx, time.Now().Add(-emptyFor)) })
	}
}

// emptyFor is how long a room that is not persistent may be empty after a restart, in which those who were in it enter it again.
const emptyFor = time.Hour

// vanish removes a room that is not persistent and has been empty since before a time.
func (r *room) vanish(ctx context.Context, before time.Time) {
	if !r.exists || r.rec.Settings.Persistent || len(r.present) > 0 || r.m.started.After(before) {
		return
	}
	if err := r.remove(ctx); err != nil {
		r.m.h.Log.Error("room not removed", "room", r.jid.String(), "err", err)
	}
}
