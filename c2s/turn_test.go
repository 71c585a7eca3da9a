package c2s

import (
	"context"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// A client that sends much at once gives others a turn between its stanzas.
func TestTurns(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var others atomic.Bool
	n, waited := 0, -1
	w := &watcher{outgoing: func(_ context.Context, p *modules.Packet) error {
		if p.Stanza.Kind != stanza.KindMessage {
			return nil
		}
		if n++; n == 1 {
			go others.Store(true)
		} else if waited < 0 && others.Load() {
			waited = n
		}
		return modules.Done
	}}
	r := newWatched(t, noTLS, w)
	p := r.client("alice", "x")
	p.send("%s<iq type='get' id='q' to='a.test'><nothing xmlns='urn:x'/></iq>", strings.Repeat("<message/>", 300))
	p.want("<iq *id='q'*")
	// Go's scheduler prefers who has yielded at every 61st of its choices: then it is the next turn.
	if waited < 0 || waited > 1+2*elementsInTurn {
		t.Errorf("others had to wait for %d stanzas, want %d at most", waited, 2*elementsInTurn)
	}
}
