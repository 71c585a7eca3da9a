package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/stanza"
)

// serve takes all that is for the service's domain: for itself, for a room, or for somebody in a room.
func (m *module) serve(ctx context.Context, p *modules.Packet) {
	switch {
	case p.From.IsZero():
	case p.To.Local() == "":
		m.toService(ctx, p)
	case p.Stanza.Kind == stanza.KindPresence:
		m.presence(ctx, p)
	case p.Stanza.Kind == stanza.KindMessage:
		m.message(ctx, p)
	case p.To.IsBare():
		m.iqToRoom(ctx, p)
	default:
		m.in(ctx, p, p.To, (*room).relay)
	}
}

// toService takes what is for the service as such.
func (m *module) toService(ctx context.Context, p *modules.Packet) {
	switch {
	case p.Stanza.Kind == stanza.KindMessage:
		m.h.Router.Bounce(ctx, p, errUnserved)
	case p.Stanza.Kind == stanza.KindIQ && p.To.Resource() == "":
		m.serviceIQ(ctx, p)
	case p.Stanza.Kind == stanza.KindIQ:
		m.h.Router.Bounce(ctx, p, errUnserved)
	}
}

// presence is of people who enter, leave, or change something (§7.2, §7.6, §7.7, §7.14). Subscriptions and probes are for
// people, not for rooms.
func (m *module) presence(ctx context.Context, p *modules.Packet) {
	switch p.Stanza.Type {
	case stanza.TypeNone:
		m.in(ctx, p, p.To, (*room).available)
	case stanza.TypeUnavailable:
		m.in(ctx, p, p.To, (*room).unavailable)
	case stanza.TypeError:
		m.in(ctx, p, p.To, (*room).failed)
	}
}

// message is for all in a room, for one of them, or for the room to do something with.
func (m *module) message(ctx context.Context, p *modules.Packet) {
	st := p.Stanza
	switch {
	case st.Type == stanza.TypeError:
		m.in(ctx, p, p.To, (*room).failed)
	case !p.To.IsBare():
		m.in(ctx, p, p.To, (*room).private)
	case st.Type != stanza.TypeGroupchat:
		m.in(ctx, p, p.To, (*room).request)
	case isSubject(st):
		m.in(ctx, p, p.To, (*room).changeSubject)
	default:
		for !m.room(p.To).do(ctx, &task{p: p}) {
		}
	}
}

// fail answers a stanza with an error, and logs one that is ours.
func (m *module) fail(ctx context.Context, p *modules.Packet, err error) {
	if err == modules.Done {
		return
	}
	e, log := modules.Answer(err)
	if log {
		m.h.Log.Error("stanza for a room not handled", "stanza", p.Stanza.String(), "err", err)
	}
	m.h.Router.Bounce(ctx, p, e)
}

// answer sends the result of an IQ.
func (m *module) answer(ctx context.Context, p *modules.Packet, payload []byte) {
	st := p.Stanza.Result(payload)
	st.SetFrom(p.To)
	st.SetTo(p.From)
	m.h.Router.Route(ctx, &modules.Packet{Stanza: st, From: p.To, To: p.From})
}

// roomIQ answers a request to a room. exists says that there must be one, and that it is open to others than its maker.
type roomIQ struct {
	exists bool
	fn     func(r *room, ctx context.Context, q *modules.IQ) ([]byte, error)
}

// roomIQs are what rooms answer, by namespace.
var roomIQs = map[string]roomIQ{
	stanza.NSDiscoInf: {false, (*room).info},
	stanza.NSDiscoIt:  {false, (*room).items},
	nsAdmin:           {false, (*room).admin},
	nsOwner:           {false, (*room).owner},
	nsPing:            {true, (*room).ping},
	nsModerate:        {true, (*room).moderate},
	nsFasten0:         {true, (*room).moderate0},
}

// iqToRoom takes requests to a room (§6.4, §8 to §10). Results and errors are of nothing that a room has asked.
func (m *module) iqToRoom(ctx context.Context, p *modules.Packet) {
	st := p.Stanza
	if st.Type != stanza.TypeGet && st.Type != stanza.TypeSet {
		return
	}
	var h roomIQ
	if len(st.Children) > 0 {
		if h = roomIQs[st.Children[0].NS]; st.Children[0].NS == fate.NSMAM {
			m.query(ctx, p)
			return
		}
	}
	if h.fn == nil {
		m.h.Router.Bounce(ctx, p, errUnserved)
		return
	}
	m.in(ctx, p, p.To, func(r *room, ctx context.Context, p *modules.Packet) {
		if !r.exists || h.exists && r.locked {
			m.h.Router.Bounce(ctx, p, errNoRoom)
			return
		}
		payload, err := h.fn(r, ctx, &modules.IQ{Packet: p, Payload: p.Stanza.Payload()})
		if err != nil {
			m.fail(ctx, p, err)
			return
		}
		m.answer(ctx, p, payload)
	})
}

// ping answers who wants to know whether there is the room (XEP-0199).
func (r *room) ping(_ context.Context, q *modules.IQ) ([]byte, error) { return nil, q.WantGet("ping") }
