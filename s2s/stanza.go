package s2s

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// stanza sends a stanza of the other server's on its way, if it may speak for the sender (RFC 6120 §8.1.2.2, §10.3).
func (l *link) stanza(st *stanza.Stanza) error {
	s := l.srv
	from, to := st.From(), st.To()
	if len(*l.grants.Load()) == 0 || l.out && !l.bidi.Load() {
		return notAuthorized
	}
	if from.IsZero() || to.IsZero() {
		return &stream.Error{Condition: "improper-addressing"} // RFC 6120 §4.9.3.7
	}
	g := l.granted(to.Domain(), from.Domain())
	switch {
	case g != nil:
	case !l.knows(from.Domain()):
		return &stream.Error{Condition: "invalid-from"} // RFC 6120 §4.9.3.9
	case !s.hosted(to.Domain()):
		return errUnknown
	default: // XEP-0220 §2.2: the pair has to be asked for
		return notAuthorized
	}
	set := s.settings.Load()
	if g.allowed.Load() != set.policy {
		if !set.policy.Allows(g.local, g.remote) || s.hosted(g.remote) {
			return errDenied
		}
		g.allowed.Store(set.policy)
	}
	t := s.o.Router.Owner(g.local)
	if t == nil {
		return &stream.Error{Condition: "host-gone"} // RFC 6120 §4.9.3.5
	}
	if l.pong(g.pair, st) { // it keeps no link alive
		l.count()
		return nil
	}
	l.touch()
	st.SetFrom(from) // as prepared, whatever the other server's spelling
	st.SetTo(to)
	st.SetLang(l.lang) // RFC 6120 §8.1.5
	p := &l.pkt
	*p = modules.Packet{Stanza: st, From: from, To: to}
	if e := st.Check(); e != nil {
		s.o.Router.Bounce(l.ctx, p, e)
	} else if err := t.Hooks.FromPeer.Run(l.ctx, p); err == nil {
		s.o.Router.Route(l.ctx, p)
	} else if err != modules.Done {
		e, log := modules.Answer(err)
		if log {
			s.log.Error("stanza not handled", "host", g.local, "stanza", st.String(), "err", err)
		}
		s.o.Router.Bounce(l.ctx, p, e)
	}
	l.count()
	return nil
}

// count counts a stanza as handled: only now it is ours (XEP-0198 §4).
func (l *link) count() {
	if l.sm != nil { // set by this goroutine alone
		l.sm.in.Add(1)
	}
}
