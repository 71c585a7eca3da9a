package muc

import (
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/stanza"
)

// say sends messages to all in the room (§7.4). Those that are archived are on disk first, all in one transaction.
func (r *room) say(list []*task) {
	now := time.Now().UTC().Truncate(time.Millisecond) // as stamps tell it
	var few [4]*stanza.Stanza
	out := few[:0]
	for _, t := range list {
		st, err := r.admit(t.p)
		if err != nil {
			r.m.h.Router.Bounce(r.ctx, t.p, err)
		}
		out = append(out, st)
	}
	if err := r.keep(r.ctx, out, now); err != nil {
		for i, st := range out {
			if st != nil && r.archived(st) {
				r.m.fail(r.ctx, list[i].p, err)
				out[i] = nil
			}
		}
	}
	for _, st := range out {
		if st == nil {
			continue
		}
		r.sendKept(st, now)
	}
}

// sendKept sends a message to all, and keeps it for who enters later where it says something.
func (r *room) sendKept(st *stanza.Stanza, at time.Time) {
	st = st.Retain() // once, so that only to is written for each
	r.sendAll(st)
	if fate.InRoom(st) {
		r.history.keep(st, at, r.m.cfg.Load().HistoryMax)
	}
}

// admit makes of what somebody says what all get.
func (r *room) admit(p *modules.Packet) (*stanza.Stanza, *stanza.Error) {
	if fate.InRoom(p.Stanza) {
		r.settle(r.ctx, p.From)
	}
	if !r.open() {
		return nil, errNoRoom // §16.5
	}
	o, _ := r.occupantOf(p.From)
	switch {
	case o == nil:
		return nil, errOutside
	case o.role < Participant:
		return nil, stanza.Err(stanza.Forbidden, "you have no voice in this room") // §7.4
	}
	st := p.Stanza.Clone()
	r.dropForged(st)
	st.SetFrom(o.jid)
	st.SetTo(stanza.JID{})
	st.Add(mark(o.id))
	return st, nil
}

// mark says who speaks, or who is there, by his ID (XEP-0421 §3).
func mark(id string) []byte {
	return append(append(append(make([]byte, 0, 96), "<occupant-id xmlns='"+nsOccID+"' id='"...), id...), "'/>"...)
}
