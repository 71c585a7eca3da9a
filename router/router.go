package router

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Accounts tells whether an account exists; auth.Users of a host fits.
type Accounts interface {
	Exists(ctx context.Context, local string) (bool, error)
}

// Peers takes stanzas for other servers; s2s implements it. An error is bounced to the sender.
type Peers interface {
	Send(ctx context.Context, p *modules.Packet) error
}

// Options are what a Router works with.
type Options struct {
	Accounts func(host string) Accounts
	Peers    Peers // nil: nobody but this server can be reached
	Log      *slog.Logger
}

// Router knows the virtual hosts, their modules' tables and the sessions, and sends each stanza where it belongs. It
// implements modules.Router and c2s.Router. All methods may be called from any goroutine.
//
// # Implementation notes
//
//   - The set of hosts is immutable and swapped whole; a stanza's way begins with one atomic load.
//   - A shard's lock guards its map of accounts and is held for a look-up only, never while a handler or a session runs.
//   - An account's list of sessions is immutable and replaced on change.
type Router struct {
	o     Options
	hosts atomic.Pointer[hosts]
}

// hosts is one immutable state of what this server is.
type hosts struct {
	byName map[string]*host
	served map[string]service // subdomains of modules
}

type service struct {
	host string
	fn   modules.PacketHandler
}

// owner returns the virtual host that a domain is, or is a service of, or nil.
func (hs *hosts) owner(domain string) *host {
	if h := hs.byName[domain]; h != nil {
		return h
	}
	return hs.byName[hs.served[domain].host]
}

// New makes a router without hosts; Publish gives it some.
func New(o Options) *Router {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &Router{o: o}
	r.hosts.Store(&hosts{byName: map[string]*host{}})
	return r
}

// Publish puts new tables in force, all hosts at once. A host that is no longer among them loses its sessions.
func (r *Router) Publish(tables map[string]*modules.Table) {
	old := r.hosts.Load()
	next := &hosts{byName: make(map[string]*host, len(tables)), served: map[string]service{}}
	for name, t := range tables {
		h := old.byName[name]
		if h == nil {
			h = newHost(name)
		}
		h.table.Store(t)
		next.byName[name] = h
		for domain, sv := range t.Domains {
			next.served[domain] = service{name, sv.Handle}
		}
	}
	r.hosts.Store(next)
	for name, h := range old.byName {
		if next.byName[name] == nil {
			h.each(func(s modules.Session) bool { s.Close(hostGone); return true })
		}
	}
}

// Route sends a stanza to its addressee, wherever that is: one of our accounts, a module's subdomain, another server.
// Errors bounce to the sender.
func (r *Router) Route(ctx context.Context, p *modules.Packet) {
	if p.To.IsZero() {
		// RFC 6120 §10.3: without a to it is for the sender's own account. Presence without one is a broadcast, which
		// is the business of the session that sent it.
		if p.Stanza.Kind == stanza.KindPresence {
			return
		}
		p.To = p.From.Bare()
	}
	hs := r.hosts.Load()
	domain := p.To.Domain()
	if h := hs.byName[domain]; h != nil {
		r.deliver(ctx, h, p)
		return
	}
	if sv, ok := hs.served[domain]; ok {
		sv.fn(ctx, p)
		return
	}
	r.toPeer(ctx, hs, p)
}

// toPeer hands a stanza to another server (RFC 6120 §10.4).
func (r *Router) toPeer(ctx context.Context, hs *hosts, p *modules.Packet) {
	if h := hs.owner(p.From.Domain()); h != nil {
		if err := h.table.Load().Hooks.ToPeer.Run(ctx, p); err != nil {
			r.fail(ctx, h.name, p, err)
			return
		}
	}
	if r.o.Peers == nil {
		r.Bounce(ctx, p, stanza.Err(stanza.RemoteServerNotFound, ""))
		return
	}
	if err := r.o.Peers.Send(ctx, p); err != nil {
		r.fail(ctx, p.From.Domain(), p, err)
	}
}

// fail ends the way of a packet as a handler's error says: Done is no error, a *stanza.Error is the answer, and anything
// else is ours to log and a plain server error to the sender.
func (r *Router) fail(ctx context.Context, host string, p *modules.Packet, err error) {
	if err == modules.Done {
		return
	}
	se, log := modules.Answer(err)
	if log {
		r.o.Log.Error("stanza not handled", "host", host, "stanza", p.Stanza.String(), "err", err)
	}
	r.Bounce(ctx, p, se)
}

// Bounce answers a stanza with an error, where it may be answered (RFC 6120 §8.3.1). An error is never answered with an
// error, so nothing can loop.
func (r *Router) Bounce(ctx context.Context, p *modules.Packet, e *stanza.Error) {
	if p.From.IsZero() {
		return
	}
	st := p.Stanza.Bounce(e)
	if st == nil {
		return
	}
	r.answer(ctx, p, st)
}

// answer sends a reply to a packet's sender, from whom the packet was for.
func (r *Router) answer(ctx context.Context, p *modules.Packet, st *stanza.Stanza) {
	from := p.To
	if from.IsZero() {
		from = p.From.Bare()
	}
	st.SetFrom(from)
	st.SetTo(p.From)
	r.Route(ctx, &modules.Packet{Stanza: st, From: from, To: p.From, NoCopy: p.NoCopy})
}
