package router

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// shards is how many locks a host's accounts are spread over: at 200,000 accounts a look-up then costs what the cache
// miss costs.
const shards = 256

var seed = maphash.MakeSeed()

var hostGone = &stream.Error{Condition: "host-gone"} // RFC 6120 §4.9.3.5

// host is one virtual host: its modules' table and who is connected.
type host struct {
	name   string
	table  atomic.Pointer[modules.Table]
	shards [shards]shard
}

type shard struct {
	mu       sync.RWMutex
	accounts map[string][]modules.Session // by localpart; sorted, replaced on change
}

func newHost(name string) *host {
	h := &host{name: name}
	for i := range h.shards {
		h.shards[i].accounts = map[string][]modules.Session{}
	}
	return h
}

func (h *host) shard(local string) *shard {
	return &h.shards[maphash.String(seed, local)%shards]
}

// sessions returns an account's sessions, most available first.
func (h *host) sessions(local string) []modules.Session {
	sh := h.shard(local)
	sh.mu.RLock()
	l := sh.accounts[local]
	sh.mu.RUnlock()
	return l
}

// session returns the session of a full JID, or nil.
func (h *host) session(j stanza.JID) modules.Session {
	for _, s := range h.sessions(j.Local()) {
		if s.JID() == j {
			return s
		}
	}
	return nil
}

// each visits all sessions.
func (h *host) each(fn func(modules.Session) bool) {
	for i := range h.shards {
		sh := &h.shards[i]
		sh.mu.RLock()
		lists := make([][]modules.Session, 0, len(sh.accounts))
		for _, l := range sh.accounts {
			lists = append(lists, l)
		}
		sh.mu.RUnlock()
		for _, l := range lists {
			for _, s := range l {
				if !fn(s) {
					return
				}
			}
		}
	}
}

// Table returns the modules' table in force for a virtual host, or nil where the host is not ours.
func (r *Router) Table(name string) *modules.Table {
	if h := r.hosts.Load().byName[name]; h != nil {
		return h.table.Load()
	}
	return nil
}

// Owner returns the modules' table of the virtual host that a domain is, or is a service of; nil where it is not ours.
func (r *Router) Owner(domain string) *modules.Table {
	if h := r.hosts.Load().owner(domain); h != nil {
		return h.table.Load()
	}
	return nil
}

// Add makes a session reachable. It returns false where its full JID is taken or its host is not ours.
func (r *Router) Add(s modules.Session) bool {
	j := s.JID()
	h := r.hosts.Load().byName[j.Domain()]
	if h == nil {
		return false
	}
	sh := h.shard(j.Local())
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := sh.accounts[j.Local()]
	for _, o := range old {
		if o.JID() == j {
			return false
		}
	}
	sh.accounts[j.Local()] = sorted(append(slices.Clone(old), s))
	return true
}

// Remove makes a session unreachable; an unknown one is ignored.
func (r *Router) Remove(s modules.Session) {
	j := s.JID()
	h := r.hosts.Load().byName[j.Domain()]
	if h == nil {
		return
	}
	sh := h.shard(j.Local())
	sh.mu.Lock()
	defer sh.mu.Unlock()
	old := sh.accounts[j.Local()]
	i := slices.Index(old, s)
	switch {
	case i < 0:
	case len(old) == 1:
		delete(sh.accounts, j.Local())
	default:
		sh.accounts[j.Local()] = slices.Concat(old[:i], old[i+1:])
	}
}

// PresenceChanged puts an account's sessions in order again after one of them changed its presence.
func (r *Router) PresenceChanged(s modules.Session) {
	j := s.JID()
	h := r.hosts.Load().byName[j.Domain()]
	if h == nil {
		return
	}
	sh := h.shard(j.Local())
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if l := sh.accounts[j.Local()]; len(l) > 1 {
		sh.accounts[j.Local()] = sorted(slices.Clone(l))
	}
}

// sorted orders sessions: available ones by priority, highest first, then those without presence.
func sorted(l []modules.Session) []modules.Session {
	rank := func(s modules.Session) int {
		if p := s.Presence(); p != nil {
			return int(p.Priority)
		}
		return -1000
	}
	slices.SortStableFunc(l, func(a, b modules.Session) int { return rank(b) - rank(a) })
	return l
}

// Local tells whether a domain is one of our virtual hosts.
func (r *Router) Local(domain string) bool { return r.hosts.Load().byName[domain] != nil }

// Served tells whether a domain is a virtual host or a module's subdomain.
func (r *Router) Served(domain string) bool {
	hs := r.hosts.Load()
	_, ok := hs.served[domain]
	return ok || hs.byName[domain] != nil
}

// Sessions returns the sessions of a local account, highest priority first, hibernated ones included.
func (r *Router) Sessions(bare stanza.JID) []modules.Session {
	if h := r.hosts.Load().byName[bare.Domain()]; h != nil {
		return h.sessions(bare.Local())
	}
	return nil
}

// Session returns the session of a full JID, or nil.
func (r *Router) Session(full stanza.JID) modules.Session {
	if h := r.hosts.Load().byName[full.Domain()]; h != nil {
		return h.session(full)
	}
	return nil
}

// Each visits all sessions of a host until fn returns false.
func (r *Router) Each(name string, fn func(modules.Session) bool) {
	if h := r.hosts.Load().byName[name]; h != nil {
		h.each(fn)
	}
}
