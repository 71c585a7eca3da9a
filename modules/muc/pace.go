package muc

import (
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// The pace at which one person may change what all in a room are told of him, by entering, leaving and entering again, or by presence.
// Each is sent to everybody, so that little said by one is much to be sent by the server.
const (
	paceBurst = 30
	paceEvery = time.Second // what one more is gained by
)

// pace is how many changes somebody has still to his credit, as of some time.
type pace struct {
	left float64
	at   time.Time
}

// now returns the credit at a time.
func (p pace) now(t time.Time) float64 {
	return min(paceBurst, p.left+float64(t.Sub(p.at))/float64(paceEvery))
}

// paced tells whether somebody may change something now, n times, and counts it.
func (r *room) paced(who stanza.JID, now time.Time, n int) bool {
	who = who.Bare()
	p, ok := r.paces[who]
	if !ok {
		if len(r.paces) >= max(minPaces, r.pacesKept) {
			r.forgetPaces(now)
		}
		if r.paces == nil {
			r.paces = map[stanza.JID]pace{}
		}
		p = pace{paceBurst, now}
	}
	left := p.now(now)
	if left < float64(n) {
		return false
	}
	r.paces[who] = pace{left - float64(n), now}
	return true
}

// forgetPaces forgets who has all his credit, and somebody or other where too many have not: another server's users may have any
// number of addresses. It is done again when there are twice as many, so that each of them costs little.
func (r *room) forgetPaces(now time.Time) {
	for j, p := range r.paces {
		if p.now(now) >= paceBurst || len(r.paces) > maxPaces/2 {
			delete(r.paces, j)
		}
	}
	r.pacesKept = min(2*len(r.paces), maxPaces)
}

// The number of people whose credit is kept in a room, from which on some are forgotten, and at most.
const (
	minPaces = 100
	maxPaces = 10_000
)

// maxPresence is how long a presence may be that all in a room are sent, in bytes. Who enters is sent those of all at once, and must be able
// to take them (c2s's write_buffer): a thousand could otherwise keep its moderators out. Signed ones with hashes of avatars and
// capabilities have a few hundred bytes to two thousand.
const maxPresence = 4 << 10

var (
	errPace = stanza.Err(stanza.ResourceConstraint, "you change your presence in this room too often")
	errSize = stanza.Err(stanza.PolicyViolation, "that presence is too long for a room")
)
