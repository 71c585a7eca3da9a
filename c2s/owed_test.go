package c2s

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// What a handler leaves to be waited for is known before anything is told of it: before an acknowledgement counts it
// (XEP-0198 §4), before a request behind it is answered, before its session moves to another connection or ends.
func TestOwed(t *testing.T) {
	var begun, known atomic.Int64
	seen := make(chan struct{}, 1000)
	w := &watcher{outgoing: func(ctx context.Context, p *modules.Packet) error {
		if p.Stanza.Kind != stanza.KindMessage {
			return nil
		}
		begun.Add(1)
		seen <- struct{}{}
		size := len(p.Stanza.Raw)
		if !stream.BatchOf(ctx).Await(size, func(context.Context) { known.Add(1) }) {
			t.Error("a handler of a session's stanza cannot leave its outcome")
		}
		return modules.Done
	}}
	r := newWatched(t, noTLS, w)
	check := func(what string, want int64) {
		t.Helper()
		if b, k := begun.Swap(0), known.Swap(0); b != want || k != want {
			t.Errorf("%s: %d begun, %d known, want %d", what, b, k, want)
		}
	}
	const message = "<message to='bob@a.test'><body>x</body></message>"

	p := r.client("alice", "x")
	p.send("%s<iq type='get' id='q' to='a.test'><nothing xmlns='urn:x'/></iq>", strings.Repeat(message, 3))
	p.want("<iq *id='q'*")
	check("a request", 3)

	p.send("<enable %s resume='true'/>", nsSM)
	_, id, _ := strings.Cut(p.want("<enabled *"), "id='")
	id, _, _ = strings.Cut(id, "'")
	p.send("%s<r %s/>", strings.Repeat(message, 3), nsSM)
	p.want("<a * h='3'*")
	check("an acknowledgement", 3)
	p.send("%s<r %s/>", strings.Repeat(message, 200), nsSM) // more than are left at once
	p.want("<a * h='203'*")
	check("many", 200)

	for len(seen) > 0 {
		<-seen
	}
	p.send("%s", strings.Repeat(message, 5))
	for range 5 {
		<-seen
	}
	n := r.dial()
	n.login("alice")
	n.send("<resume %s previd='%s' h='0'/>", nsSM, id)
	n.want("<resumed * h='208'*")
	check("another connection", 5)
	n.send("%s</stream:stream>", strings.Repeat(message, 4))
	n.want("<a * h='212'*")
	check("the end", 4)
}
