package stanza

import (
	"hash/maphash"
	"sync/atomic"
)

// cache remembers strings seen on the wire together with what was made of them, so that the next look costs no
// allocation. Bounded: sets of four, a newcomer takes the place of one of its set. Nobody waits: a slot is an atomic
// pointer to something that never changes, and losing an entry to a race costs no more than making it again. The hash
// is seeded, so that nobody outside can aim at a set.
type cache[V any] struct {
	seed maphash.Seed
	sets []set[V]
	tick atomic.Uint32 // whose place is taken next
}

type set[V any] [4]atomic.Pointer[entry[V]]

type entry[V any] struct {
	key string
	val V
}

// newCache makes a cache of 4*sets entries; sets is a power of two.
func newCache[V any](sets int) *cache[V] {
	return &cache[V]{seed: maphash.MakeSeed(), sets: make([]set[V], sets)}
}

func (c *cache[V]) get(key []byte) (*set[V], *entry[V]) {
	s := &c.sets[maphash.Bytes(c.seed, key)&uint64(len(c.sets)-1)]
	for i := range s {
		if e := s[i].Load(); e != nil && e.key == string(key) {
			return s, e
		}
	}
	return s, nil
}

func (c *cache[V]) put(s *set[V], key string, val V) {
	e := &entry[V]{key, val}
	for i := range s {
		if s[i].CompareAndSwap(nil, e) {
			return
		}
	}
	s[c.tick.Add(1)&3].Store(e)
}

// Longer ones are not worth a place: nobody sends them over and over.
const (
	maxCachedJID  = 256
	maxCachedName = 128
)

var (
	jids  = newCache[JID](4096)
	names = newCache[struct{}](512)
)

// InternJID is ParseJID for bytes of a stanza: an address seen before costs no allocation.
func InternJID(b []byte) (JID, error) {
	if len(b) > maxCachedJID {
		return ParseJID(string(b))
	}
	s, e := jids.get(b)
	if e != nil {
		return e.val, nil
	}
	return learnJID(s, string(b))
}

func learnJID(s *set[JID], key string) (JID, error) {
	j, err := ParseJID(key)
	if err == nil {
		jids.put(s, key, j)
	}
	return j, err
}

// intern returns b as a string, the same one each time where it is a name or namespace in use.
func intern(b []byte) string {
	if s := wellKnown(b); s != "" || len(b) == 0 {
		return s
	}
	if len(b) > maxCachedName {
		return string(b)
	}
	s, e := names.get(b)
	if e != nil {
		return e.key
	}
	key := string(b)
	names.put(s, key, struct{}{})
	return key
}

// wellKnown finds what most stanzas of a running server are made of. The compiler makes a binary search of it.
func wellKnown(b []byte) string {
	switch string(b) {
	case NSClient:
		return NSClient
	case NSServer:
		return NSServer
	case NSStream:
		return NSStream
	case NSStanzas:
		return NSStanzas
	case NSStreams:
		return NSStreams
	case NSTLS:
		return NSTLS
	case NSSASL:
		return NSSASL
	case NSBind:
		return NSBind
	case NSSession:
		return NSSession
	case NSRoster:
		return NSRoster
	case NSSM:
		return NSSM
	case NSCSI:
		return NSCSI
	case NSDelay:
		return NSDelay
	case NSHints:
		return NSHints
	case NSDiscoInf:
		return NSDiscoInf
	case NSDiscoIt:
		return NSDiscoIt
	case NSXML:
		return NSXML
	case "http://jabber.org/protocol/chatstates": // XEP-0085
		return "http://jabber.org/protocol/chatstates"
	case "urn:xmpp:receipts": // XEP-0184
		return "urn:xmpp:receipts"
	case "urn:xmpp:chat-markers:0": // XEP-0333
		return "urn:xmpp:chat-markers:0"
	case NSSID:
		return NSSID
	case NSForward:
		return NSForward
	case "urn:xmpp:ping": // XEP-0199
		return "urn:xmpp:ping"
	case "http://jabber.org/protocol/caps": // XEP-0115
		return "http://jabber.org/protocol/caps"
	case "http://jabber.org/protocol/muc#user": // XEP-0045
		return "http://jabber.org/protocol/muc#user"
	case "vcard-temp:x:update": // XEP-0153
		return "vcard-temp:x:update"
	case "message":
		return "message"
	case "presence":
		return "presence"
	case "iq":
		return "iq"
	case "r": // XEP-0198
		return "r"
	case "a":
		return "a"
	}
	return ""
}
