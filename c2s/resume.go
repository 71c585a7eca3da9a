package c2s

import (
	"strconv"
	"sync"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// resumable knows the sessions that can be resumed, by SM-ID, and of those that are gone how far they had come.
type resumable struct {
	mu    sync.Mutex
	live  map[string]*session
	gone  map[string]remains
	order []string // of gone, oldest first
}

// remains is what is left of a session: enough for <failed h=”/> (XEP-0198 §5).
type remains struct {
	account stanza.JID
	in      uint32
}

// maxRemains bounds what is kept of sessions that are gone.
const maxRemains = 4096

func (r *resumable) init() { r.live, r.gone = map[string]*session{}, map[string]remains{} }

func (r *resumable) add(token string, s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.live[token] = s
}

func (r *resumable) remove(s *session, m *sm) {
	if m.token == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, m.token)
	r.gone[m.token] = remains{s.jid.Bare(), m.in}
	r.order = append(r.order, m.token)
	if len(r.order) > maxRemains {
		delete(r.gone, r.order[0])
		r.order = r.order[1:]
	}
}

// find returns the session of an account by SM-ID, or what is left of it. Another account's are nobody's.
func (r *resumable) find(token string, account stanza.JID) (s *session, in uint32, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.live[token]; s != nil && s.jid.Bare() == account {
		return s, 0, true
	}
	if g, ok := r.gone[token]; ok && g.account == account {
		return nil, g.in, true
	}
	return nil, 0, false
}

// sessions returns the hibernated ones.
func (r *resumable) sessions() []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*session
	for _, s := range r.live {
		if s.asleep.Load() {
			out = append(out, s)
		}
	}
	return out
}

func (r *resumable) hibernated() int { return len(r.sessions()) }

// lost is called by the reading goroutine when a connection ended and the client has not said goodbye: the session waits
// for its client if it can, else it ends (XEP-0198 §7), with e, if that is why.
func (s *session) lost(c *client, e *stream.Error) {
	s.run.Lock()
	s.guard(func() { s.settle(&c.batch) })
	s.mu.Lock()
	m := s.sm
	switch {
	case s.closed || s.client != c:
		s.mu.Unlock()
		s.run.Unlock()
		return
	case m == nil || m.token == "" || s.ending || s.srv.stopping():
		s.mu.Unlock()
		s.run.Unlock()
		s.end(e)
		return
	}
	s.client = nil
	s.asleep.Store(true)
	if s.csi != nil { // it will be active when it comes back (XEP-0352 §5.2)
		s.release(&c.batch)
		s.csi = nil
	}
	m.calm()
	m.since = time.Now()
	m.naps++
	nap := m.naps
	m.timer = time.AfterFunc(m.max, func() {
		if s.srv.track() {
			defer s.srv.wg.Done()
			s.endIf(nil, func() bool { return s.client == nil && m.naps == nap })
		}
	})
	s.watch()
	s.mu.Unlock()
	s.run.Unlock()
	c.log().Info("session waits to be resumed", "account", s.jid.Bare().String(), "resource", s.jid.Resource())
	s.fellAsleep()
	s.srv.fewerAsleep(s.jid.Bare())
}

// fellAsleep tells modules that nobody reads any more what the session takes.
func (s *session) fellAsleep() {
	t := s.srv.o.Router.Table(s.jid.Domain())
	if t == nil {
		return
	}
	var batch stream.Batch
	ctx := stream.WithBatch(s.srv.ctx, &batch)
	s.guard(func() { t.Hooks.SessionHibernated.Run(ctx, s) })
	batch.Flush()
}

// fewerAsleep ends the sessions of an account that have hibernated longest, as far as the account has too many. Several
// that fall asleep at once may each come here: they choose the same session, and whoever has waited for its end counts anew.
func (s *server) fewerAsleep(account stanza.JID) {
	limit := s.policy.Load().Hibernated
	for {
		n, oldest, nap := s.asleep(account)
		if n <= limit {
			return
		}
		oldest.endIf(nil, func() bool { return oldest.client == nil && oldest.sm.naps == nap })
	}
}

// asleep counts the hibernated sessions of an account that are not about to end. It returns the one that has hibernated
// longest, and which of its naps that is.
func (s *server) asleep(account stanza.JID) (n int, oldest *session, nap int) {
	var since time.Time
	for _, o := range s.o.Router.Sessions(account) {
		o, ok := o.(*session)
		if !ok {
			continue
		}
		o.mu.Lock()
		if o.Hibernated() && !o.closed && !o.ending {
			n++
			if oldest == nil || o.sm.since.Before(since) {
				oldest, since, nap = o, o.sm.since, o.sm.naps
			}
		}
		o.mu.Unlock()
	}
	return n, oldest, nap
}

// earlySM deals with XEP-0198 before a resource is bound: only to resume makes sense.
func (c *client) earlySM(st *stanza.Stanza) error {
	if c.state&stream.Authenticated == 0 {
		if st.Name == "resume" || st.Name == "enable" {
			return c.say(smFailed(stanza.NotAuthorized)) // XEP-0198 §3
		}
		return notAuthorized
	}
	if st.Name != "resume" {
		return c.say(smFailed(stanza.UnexpectedRequest))
	}
	previd, _ := st.Attr("previd")
	h, err := handledCount(st)
	if err != nil {
		return err
	}
	s, failed, err := c.takeOver(previd, h, func(_ *session, resumed string) string { return resumed })
	if err != nil {
		return err
	}
	if s == nil {
		return c.say(failed) // the client may bind a resource instead (XEP-0198 §5)
	}
	return c.resumed(s)
}

// takeOver moves a session to this connection (XEP-0198 §5). What wrap makes of <resumed/> goes out first, then what the
// client has not got. Without a session, failed says why. The caller goes on with resumed.
func (c *client) takeOver(previd string, h uint32, wrap func(s *session, resumed string) string) (s *session, failed string, err error) {
	s, in, known := c.srv.resume.find(previd, c.ident.JID)
	if s != nil && c.ident.Resource != "" && c.ident.Resource != s.jid.Resource() {
		s, known = nil, false // XEP-0257 §3: not this certificate's
	}
	if s == nil {
		if !known {
			return nil, smFailed(stanza.ItemNotFound), nil
		}
		return nil, goneFailed(in), nil
	}
	s.hurry(func() bool { return s.client != c })
	s.run.Lock() // what the old connection is handling is counted first
	s.guard(func() { s.settle(&c.batch) })
	s.mu.Lock()
	m := s.sm
	if s.closed || s.ending {
		in := m.in
		s.mu.Unlock()
		s.run.Unlock()
		return nil, goneFailed(in), nil
	}
	if m.ack(h) {
		defer s.run.Unlock()
		defer s.mu.Unlock()
		return nil, "", tooHigh(h, m)
	}
	old := s.client
	s.client = c
	if c.installation() == "" {
		c.agent = s.agent
	}
	s.login = c.login
	s.asleep.Store(false)
	m.stop()
	c.say(wrap(s, "<resumed xmlns='"+stanza.NSSM+"' h='"+strconv.FormatUint(uint64(m.in), 10)+"' previd='"+m.token+"'/>"))
	m.sent, m.asked = 0, false
	if s.csi != nil {
		s.release(&c.batch)
		s.csi = nil
	}
	s.restamp()
	s.pump(&c.batch)
	s.watch()
	s.mu.Unlock()
	if old != nil {
		old.sc.CloseWith(errConflict) // XEP-0198 §5
	}
	return s, "", nil
}

func goneFailed(in uint32) string {
	return "<failed xmlns='" + stanza.NSSM + "' h='" + strconv.FormatUint(uint64(in), 10) + "'><item-not-found xmlns='" +
		stanza.NSStanzas + "'/></failed>"
}

// restamp gives what is sent late the time when it should have been sent. Under mu.
func (s *session) restamp() {
	now := time.Now()
	m := s.sm
	for i := range m.len() {
		e := m.at(i)
		if now.Sub(e.time()) < delayed {
			break // the rest is newer
		}
		st, err := stanza.Parse(e.raw)
		if err != nil || st.Kind == stanza.KindIQ {
			continue
		}
		stamp(st, s.jid.Host(), e, now)
		m.bytes -= len(e.raw)
		e.raw = st.AppendTo(nil)
		m.bytes += len(e.raw)
	}
}

// resumed puts a session of takeOver in force on this connection.
func (c *client) resumed(s *session) error {
	defer s.run.Unlock()
	password := c.n.password
	c.attach(s)
	c.log().Info("session resumed", "account", s.jid.Bare().String(), "resource", s.jid.Resource(), "session", s.ID())
	if t := c.srv.o.Router.Table(s.jid.Domain()); t != nil {
		t.Hooks.SessionResumed.Run(&c.batch, s)
	}
	if !c.still(password) {
		return errReset
	}
	return errFresh
}
