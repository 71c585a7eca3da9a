package muc

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// asked is a request that was passed on to an occupant's client, and whose answer is to come.
type asked struct {
	by *session   // who asked
	id string     // his id
	of stanza.JID // whom, as he said it
	to stanza.JID // whom it was passed on to
	at time.Time
}

// The bounds of what waits for an answer in one room.
const (
	maxAsked     = 1000
	maxAskedEach = 50 // of one person: who asks somebody that never answers keeps nobody else from asking
	askedFor     = 2 * time.Minute
)

// relay takes a request of one occupant to another, such as for the version of his client, or the answer to one. Neither learns the
// other's address by it. ids are replaced: two who ask the same client may have chosen the same one.
func (r *room) relay(ctx context.Context, p *modules.Packet) {
	st := p.Stanza
	if st.Type != stanza.TypeGet && st.Type != stanza.TypeSet {
		r.relayAnswer(p)
		return
	}
	o, to, err := r.pair(p)
	switch {
	case err == nil && o == to && st.Has(nsPing, "ping"):
		r.m.answer(ctx, p, nil) // XEP-0410 §3: he is in, and that is what he wants to know
		return
	case err == nil && st.Has(nsVCard, ""):
		r.ask(o, p, to.bare) // the account has it, not the client
		return
	case err == nil:
		r.ask(o, p, to.shown.full)
		return
	case err == errOutside && (st.Has(stanza.NSDiscoInf, "") || st.Has(stanza.NSDiscoIt, "")):
		err = stanza.Err(stanza.BadRequest, "only occupants ask each other") // §6.6
	}
	r.m.h.Router.Bounce(ctx, p, err)
}

// ask passes a request on.
func (r *room) ask(o *occupant, p *modules.Packet, to stanza.JID) {
	now, mine := time.Now(), 0
	for id, a := range r.asked { // few, as a rule
		switch {
		case now.Sub(a.at) > askedFor:
			delete(r.asked, id)
		case a.by.full.Bare() == o.bare:
			mine++
		}
	}
	if len(r.asked) >= maxAsked || mine >= maxAskedEach {
		r.m.h.Router.Bounce(r.ctx, p, stanza.Err(stanza.ResourceConstraint, "too many requests wait for an answer"))
		return
	}
	if r.asked == nil {
		r.asked = map[string]asked{}
	}
	id := rand.Text()
	r.asked[id] = asked{r.sessions[p.From], p.Stanza.ID(), p.To, to, now}
	r.send(renamed(p.Stanza, id, o.jid), to)
}

// relayAnswer brings an answer back to who asked. What nobody asked for is dropped.
func (r *room) relayAnswer(p *modules.Packet) {
	a, ok := r.asked[p.Stanza.ID()]
	if !ok || a.to != p.From {
		return
	}
	delete(r.asked, p.Stanza.ID())
	if !a.by.left {
		r.send(renamed(p.Stanza, a.id, a.of), a.by.full)
	}
}

// plainError is the error of a stanza without the address and the words of who made it, which may be a server: they could tell
// who is behind a nickname (§17.4).
func plainError(st *stanza.Stanza) []byte {
	e := st.StanzaError()
	if e == nil {
		e = &stanza.Error{}
	}
	return (&stanza.Error{Type: e.Type, Condition: e.Condition}).AppendTo(nil)
}

// renamed returns an IQ with another id and sender.
func renamed(st *stanza.Stanza, id string, from stanza.JID) *stanza.Stanza {
	if st.Type == stanza.TypeError {
		return stanza.New(st.Kind, st.Type, id, from, stanza.JID{}, plainError(st))
	}
	var payload []byte
	for i := range st.Children {
		payload = append(payload, st.Copy(i)...)
	}
	return stanza.New(st.Kind, st.Type, id, from, stanza.JID{}, payload)
}
