package carbons

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// state is what a session has of this module.
type state struct {
	since atomic.Int64 // when copies were switched on, in Unix nanoseconds; 0: they are off

	mu      sync.Mutex
	sent    []message // of which there are copies, a ring: an error may answer them
	next    int
	awaited []string // IDs of messages that it got copies of before it was available
}

// message is one that the session sent.
type message struct {
	id string
	to stanza.JID // bare
}

// maxSent is how many messages are remembered of those that a session sent.
const maxSent = 16

// maxAwaited bounds the IDs; beyond them a client that takes long to become available gets a message a second time.
const maxAwaited = 256

type stateKey struct{}

// stateOf returns a session's state; nil where there is none, unless it is to be made.
func stateOf(s modules.Session, create bool) *state {
	c, _ := s.Value(stateKey{}).(*state)
	if c == nil && create {
		c = &state{}
		s.SetValue(stateKey{}, c)
	}
	return c
}

func set(s modules.Session, on bool) {
	c := stateOf(s, true)
	if !on {
		c.since.Store(0)
		return
	}
	c.since.CompareAndSwap(0, time.Now().UnixNano()) // XEP-0280 §10.1: switched on twice, it is on since the first time
}

func enabled(s modules.Session) bool {
	c := stateOf(s, false)
	return c != nil && c.since.Load() != 0
}

func (c *state) remember(id string, to stanza.JID) {
	if id == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.sent) < maxSent {
		c.sent = append(c.sent, message{id, to})
		return
	}
	c.sent[c.next] = message{id, to}
	c.next = (c.next + 1) % maxSent
}

// asked tells whether an error from there answers what was sent.
func (c *state) asked(id string, from stanza.JID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return id != "" && slices.Contains(c.sent, message{id, from})
}

func (c *state) took(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id != "" && len(c.awaited) < maxAwaited {
		c.awaited = append(c.awaited, id)
	}
}

func (c *state) got(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.awaited, id)
}
