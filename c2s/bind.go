package c2s

import (
	"hash/maphash"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// The values of c2s.resource_conflict.
const (
	kickOld = "kick_old"
	rename  = "rename"
	refuse  = "refuse"
)

// bind answers the request for a resource (RFC 6120 §7).
func (c *client) bind(st *stanza.Stanza) error {
	fail := func(e *stanza.Error) error { return c.answer(st.Bounce(e), stanza.JID{}) }
	if st.Type != stanza.TypeSet || len(st.Children) != 1 || st.ID() == "" {
		return fail(stanza.Err(stanza.BadRequest, "")) // RFC 6120 §8.2.3
	}
	wanted := st.Payload().ChildText("resource")
	if pinned := c.ident.Resource; pinned != "" && wanted != "" {
		if j, err := c.ident.JID.WithResource(wanted); err != nil || j.Resource() != pinned {
			return fail(stanza.Err(stanza.NotAllowed, "the certificate is for another resource")) // XEP-0257 §3
		}
	}
	s, e := c.openSession(wanted, nil, func(s *session) []byte {
		var x stanza.XML
		jid := x.Start("bind", "xmlns", stanza.NSBind).Leaf("jid", s.jid.String()).End().Bytes()
		r := st.Result(jid)
		r.SetFrom(stanza.JID{})
		r.SetTo(stanza.JID{})
		return r.AppendTo(nil)
	})
	if e != nil {
		return fail(e)
	}
	return c.opened(s)
}

// openSession makes the session of a client that has logged in. prepare, if any, is for what the session is to be before
// others can find it. answer makes what tells the client of it, which goes out
// before anything that somebody sends to the session.
func (c *client) openSession(wanted string, prepare func(*session), answer func(*session) []byte) (*session, *stanza.Error) {
	if pinned := c.ident.Resource; pinned != "" {
		wanted = pinned // XEP-0257 §3: the certificate says which
	}
	resource := wanted
	if resource == "" {
		resource = newResource() // RFC 6120 §7.6.1
	}
	jid, err := c.ident.JID.WithResource(resource)
	if err != nil {
		return nil, stanza.Err(stanza.BadRequest, "no such resource is possible") // RFC 6120 §7.7.2.1
	}
	s := newSession(c, jid)
	s.run.Lock() // until Hooks.SessionOpened have run: a session does not end before it began
	if prepare != nil {
		prepare(s)
	}
	for range maxTries {
		old, e := c.register(s, answer)
		if e != nil {
			return nil, e
		}
		if old == nil {
			return s, nil
		}
		policy := c.srv.policy.Load().conflict // RFC 6120 §7.7.2.2
		switch {
		case old.isClosed():
			old.end(nil) // waits until it is gone
		case s.sameClient(old):
			old.end(errConflict) // XEP-0386 §3.2; whatever the policy: a client is not in its own way
		case old.jid != s.jid:
			old.end(errTooMany) // a session nobody is connected to makes room
		case policy == refuse && !old.Hibernated(), policy == rename && c.ident.Resource != "":
			return nil, stanza.Err(stanza.Conflict, "the resource is in use")
		case policy == rename:
			if s.jid, err = c.ident.JID.WithResource(shorten(resource) + "-" + newResource()); err != nil {
				return nil, stanza.Err(stanza.BadRequest, "")
			}
		default:
			old.end(errConflict)
		}
	}
	return nil, stanza.Err(stanza.ResourceConstraint, "")
}

// maxTries bounds how often a bind makes room for itself: others may be as eager.
const maxTries = 8

var (
	errConflict = &stream.Error{Condition: "conflict", Text: "replaced by a new session"} // RFC 6120 §4.9.3.3
	errReset    = &stream.Error{Condition: "reset", Text: "the account has changed"}      // RFC 6120 §4.9.3.16
	errTooMany  = &stream.Error{Condition: "resource-constraint", Text: "too many sessions"}
)

var bindSeed = maphash.MakeSeed()

// register makes a session reachable if its name is free and the account has room. Else it returns the session in the
// way, or why there is no room.
func (c *client) register(s *session, answer func(*session) []byte) (old *session, e *stanza.Error) {
	bare := s.jid.Bare()
	r := c.srv.o.Router
	lock := &c.srv.binding[maphash.String(bindSeed, bare.Local())%uint64(len(c.srv.binding))]
	lock.Lock()
	defer lock.Unlock()
	if o, ok := c.srv.leaving.Load(s.jid); ok {
		return o.(*session), nil
	}
	var sleeper *session
	all := r.Sessions(bare)
	for _, o := range all {
		o, ok := o.(*session)
		if !ok {
			continue
		}
		if o.jid == s.jid || s.sameClient(o) {
			return o, nil
		}
		if o.Hibernated() && (sleeper == nil || o.started.Before(sleeper.started)) {
			sleeper = o
		}
	}
	if limit := c.srv.policy.Load().Resources; limit > 0 && len(all) >= limit {
		if sleeper != nil {
			return sleeper, nil
		}
		return nil, &stanza.Error{Type: stanza.Wait, Condition: stanza.ResourceConstraint, // RFC 6120 §7.6.2.1
			Text: "too many sessions of this account"}
	}
	// Under the session's lock nothing is sent to it: the answer is first.
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.Add(s) {
		if r.Table(bare.Domain()) == nil {
			return nil, stanza.Err(stanza.ServiceUnavailable, "")
		}
		return nil, stanza.Err(stanza.Conflict, "the resource is in use")
	}
	b := answer(s)
	c.queue(func(dst []byte) []byte { return append(dst, b...) })
	return nil, nil
}

// sameClient tells whether another session is of the same installation of a client, which says so by XEP-0388 §2.1.
func (s *session) sameClient(o *session) bool {
	if s.installation() == "" {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.installation() == s.installation()
}

// opened puts a session of openSession in force on its connection. What negotiation needed is let go.
func (c *client) opened(s *session) error {
	defer s.run.Unlock()
	password := c.n.password
	c.attach(s)
	if t := c.srv.o.Router.Table(s.jid.Domain()); t != nil {
		t.Hooks.SessionOpened.Run(&c.batch, s)
	}
	if !c.still(password) {
		return errReset
	}
	return errFresh
}

// attach ends negotiation.
func (c *client) attach(s *session) {
	c.state |= stream.Bound
	c.n = nil
	c.sess.Store(s)
	c.silence(time.Now()) // sets the first deadline
}

// newResource makes a resource of the server's own: 65 random bits, for who can guess a full JID learns of its presence
// (RFC 6120 §7.6).
func newResource() string { return strings.ToLower(token()[:13]) }

// shorten leaves room for a suffix within the 1023 bytes that a resource may have (RFC 7622 §3.4).
func shorten(resource string) string {
	for len(resource) > 1000 {
		r := []rune(resource)
		resource = string(r[:len(r)/2])
	}
	return resource
}

var _ modules.Session = (*session)(nil)
