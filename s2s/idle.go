package s2s

import (
	"time"
)

// silence is called when the read deadline has passed. An error ends the link. The deadline is moved only then: a busy link
// never touches it. So a link without stanzas ends after one to two idle times.
func (l *link) silence(now time.Time) error {
	if len(*l.grants.Load()) == 0 {
		return errTimeout
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	idle := time.Duration(l.set.IdleTimeoutS2S)
	if m := l.sm; m != nil && m.asked {
		if !now.Before(m.due) {
			return errTimeout // what it has not acknowledged goes out again elsewhere
		}
		l.sc.SetReadDeadline(m.due)
		return nil
	}
	if m := l.sm; m != nil && m.len() > 0 {
		l.sc.SetReadDeadline(now.Add(ackTime))
		return l.ask()
	}
	if due := l.unanswered(now); !due.IsZero() {
		l.sc.SetReadDeadline(due)
		return nil
	}
	if !l.used.Swap(false) {
		return errClose
	}
	l.sc.SetReadDeadline(now.Add(idle))
	return nil
}
