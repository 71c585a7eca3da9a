package s2s

import (
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

func (r *route) stopTimer() {
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}

// open begins to open a stream. Under mu.
func (r *route) open() {
	r.stopTimer()
	if r.line(r.opener) {
		r.dialing, r.begun = true, false
	}
}

// maxWaiters is how many wait in line for one route: whoever's turn comes first, it is for all.
const maxWaiters = 8

// line has a stream opened when it is who's turn; false: the server is stopping. Under mu.
func (r *route) line(who stanza.JID) bool {
	if !r.srv.track() {
		return false
	}
	r.waiters++
	go r.dial(who)
	return true
}

// turn waits for who's turn. It returns nil where the turn does not matter any more.
func (r *route) turn(who stanza.JID) (leave func()) {
	s := r.srv
	ctx, cancel := s.within(s.openTime())
	leave, ok := s.opening.take(ctx, who)
	cancel()
	r.mu.Lock()
	r.waiters--
	over := r.begun || !r.dialing
	if ok && !over {
		r.begun = true
	}
	last := r.waiters == 0
	r.mu.Unlock()
	switch {
	case ok && !over:
		return leave
	case ok:
		leave()
	case !over && last:
		r.failed(fail("too many streams are being opened", errTimedOut))
	}
	return nil
}

// dial opens a stream when it is who's turn, whatever comes of it.
func (r *route) dial(who stanza.JID) {
	s := r.srv
	defer s.wg.Done()
	leave := r.turn(who)
	if leave == nil {
		return
	}
	l, err := r.dialLink()
	leave()
	if err != nil {
		r.failed(err)
		return
	}
	r.mu.Lock()
	r.dialing = false
	if r.link == nil && !r.gone && l.join(r) {
		r.attach(l)
	}
	mine := r.link == l
	if r.link != nil {
		r.flush()
	}
	r.mu.Unlock()
	if !mine {
		l.sc.CloseWith(nil) // the other server was faster (XEP-0288): one is enough
	}
	go l.run()
}

// dialLink keeps a mistake of ours from ending more than the attempt.
func (r *route) dialLink() (l *link, err error) {
	s := r.srv
	defer func() {
		if e := recover(); e != nil {
			s.panicked(s.log.With("host", r.local, "peer", r.remote), e)
			err = fail("a mistake of this server", stanza.Err(stanza.InternalServerError, ""))
		}
	}()
	if !s.talks(s.settings.Load().policy, r.pair) { // it has changed while something was waiting
		return nil, &failure{why: "the policy forbids it", answer: errRestricted}
	}
	ctx, cancel := s.within(s.openTime())
	defer cancel()
	return s.open(ctx, r.pair)
}

// The wait after a failure: it doubles with each.
const (
	firstWait = time.Second
	longWait  = 5 * time.Minute
	// failMemory is how long after that a failure still counts.
	failMemory = 5 * time.Minute
	// standing is how long a stream must have stood for what went wrong before to be forgotten.
	standing = time.Minute
)

// backOff returns the wait after n failures in a row, more or less: not everybody shall come at once.
func backOff(n int) time.Duration {
	d := min(longWait, firstWait<<min(n-1, 10))
	return time.Duration(float64(d) * (0.8 + 0.4*rand.Float64()))
}

// failed ends an attempt to open a stream. What waits is sent back; what another stream had taken over may wait for the
// next attempt, for its sender has reason to think that it arrived.
func (r *route) failed(err error) {
	answer := answerTo(err)
	r.mu.Lock()
	r.dialing = false
	if r.link == nil {
		r.look()
	}
	if r.link != nil { // the other server was faster (XEP-0288)
		r.flush()
		r.mu.Unlock()
		return
	}
	now := time.Now()
	r.fails++
	wait := backOff(r.fails)
	r.until, r.why = now.Add(wait), answer
	all := r.srv.isDraining() || answer == errRestricted
	left := r.take(func(it *item) bool { return all || it.tries == 0 || r.late(it, now) })
	r.schedule(wait)
	r.mu.Unlock()
	r.srv.log.Log(r.srv.ctx, r.srv.failures.level(now), "no stream to another server", "host", r.local, "peer", r.remote,
		"why", err.Error(), "stanzas_returned", len(left), "next_try_in", wait.Round(100*time.Millisecond).String())
	r.bounce(left, answer)
}

// maxFailuresTold is how many failures a minute the admin is told of: a user can bring about any number.
const maxFailuresTold = 100

// failureLog counts the lines of the log that users can bring about. Those beyond maxFailuresTold in a minute are for debugging.
type failureLog struct {
	mu    sync.Mutex
	n     int
	since time.Time
}

func (t *failureLog) level(now time.Time) slog.Level {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.since) >= time.Minute {
		t.n, t.since = 0, now
	}
	if t.n++; t.n > maxFailuresTold {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// schedule sees to what comes after a wait: another attempt where something is queued, else the end of the memory that
// there was a failure. Under mu.
func (r *route) schedule(wait time.Duration) {
	r.stopTimer()
	if len(r.queue) == 0 {
		wait += failMemory
	}
	r.timer = time.AfterFunc(wait, r.wake)
}

// wake is called when the wait is over.
func (r *route) wake() {
	r.mu.Lock()
	r.timer = nil
	if r.link != nil || r.dialing || r.gone {
		r.mu.Unlock()
		return
	}
	left := r.take(func(it *item) bool { return r.late(it, time.Now()) })
	if len(r.queue) > 0 {
		r.open()
	} else {
		r.forget()
	}
	r.mu.Unlock()
	r.bounce(left, errTimedOut)
}

// lost takes back what a link has not brought to its end: what goes out again, and what must not, for the other server may
// have it and could not tell that it comes a second time.
func (r *route) lost(l *link, again []item, unanswered []unacked) {
	r.mu.Lock()
	if r.link == l {
		r.link = nil
	}
	var left []item
	for _, u := range unanswered {
		r.hold(u.raw, -1)
		left = append(left, u.item)
	}
	if len(again) > 0 {
		r.queue = append(again, r.queue...)
		left = append(left, r.take(func(it *item) bool { return it.tries >= maxTries })...)
	}
	if r.link == nil {
		r.look()
	}
	switch {
	case r.link != nil:
		r.flush()
	case r.dialing, r.gone:
	case r.srv.isDraining():
		left = append(left, r.take(func(*item) bool { return true })...)
		r.forget()
	default:
		if time.Since(r.up) >= standing {
			r.fails = 0
		}
		switch {
		case len(r.queue) > 0:
			r.fails++
			r.schedule(backOff(r.fails))
		case r.fails == 0:
			r.forget()
		default:
			r.schedule(0)
		}
	}
	r.mu.Unlock()
	r.bounce(left, errTimedOut)
}
