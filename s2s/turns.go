package s2s

import (
	"context"
	"sync"

	"github.com/xmppd/xmppd/stanza"
)

// The streams that are being opened at once. Nobody takes all turns, so that a user who writes to a thousand domains whose
// servers do not answer keeps nobody else waiting.
const (
	maxOpening  = 512
	mostOpening = 64 // for one local account
)

// openTurns are given to those whose stanzas have streams opened.
type openTurns struct {
	all  chan struct{}
	most int

	mu sync.Mutex
	of map[stanza.JID]*share
}

// share is what one account has of them.
type share struct {
	slots chan struct{}
	users int // that have a turn or wait for one
}

func newOpenTurns(all, most int) *openTurns {
	return &openTurns{all: make(chan struct{}, all), most: most, of: map[stanza.JID]*share{}}
}

// take waits for a turn. It returns how to give it back, or false when ctx has ended before.
func (t *openTurns) take(ctx context.Context, who stanza.JID) (leave func(), ok bool) {
	t.mu.Lock()
	a := t.of[who]
	if a == nil {
		a = &share{slots: make(chan struct{}, t.most)}
		t.of[who] = a
	}
	a.users++
	t.mu.Unlock()
	gone := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if a.users--; a.users == 0 {
			delete(t.of, who)
		}
	}
	select {
	case a.slots <- struct{}{}:
	case <-ctx.Done():
		gone()
		return nil, false
	}
	select {
	case t.all <- struct{}{}:
	case <-ctx.Done():
		<-a.slots
		gone()
		return nil, false
	}
	return func() {
		<-t.all
		<-a.slots
		gone()
	}, true
}
