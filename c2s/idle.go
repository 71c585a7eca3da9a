package c2s

import (
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// silence is called when the read deadline has passed. The deadline is moved only then, from when the client was heard
// last: a busy connection never touches it. An error ends the connection.
func (c *client) silence(now time.Time) error {
	if c.n != nil {
		return errTimeout
	}
	heard := c.sc.Heard()
	idle, ping := time.Duration(c.policy.IdleTimeoutC2S), time.Duration(c.policy.PingAfter)
	switch quiet := now.Sub(heard); {
	case idle > 0 && quiet >= idle:
		return errTimeout
	case ping > 0 && quiet < ping:
		c.sc.SetReadDeadline(heard.Add(ping))
		return nil
	case idle > 0:
		c.sc.SetReadDeadline(heard.Add(idle))
	default:
		c.sc.SetReadDeadline(time.Time{})
	}
	if ping > 0 && !c.pinged {
		c.pinged = true
		return c.ping()
	}
	return nil
}

// ping asks a silent client for a sign of life: whatever it answers will do.
func (c *client) ping() error {
	s := c.sess.Load()
	if s.ask(c) {
		return nil
	}
	// XEP-0199 §4.1
	ping := stanza.New(stanza.KindIQ, stanza.TypeGet, "ping-"+token()[:8], s.jid.Host(), s.jid, []byte("<ping xmlns='urn:xmpp:ping'/>"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.client != c {
		return errReplaced
	}
	return s.put(&c.batch, ping)
}
