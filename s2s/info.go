package s2s

import (
	"cmp"
	"crypto/tls"
	"net"
	"slices"
	"time"

	"github.com/xmppd/xmppd/stream"
)

// StreamInfo is what the admin sees of a stream.
type StreamInfo struct {
	ID      string
	Out     bool   // we opened it
	Both    bool   // stanzas go both ways (XEP-0288)
	Local   string // of the stream's header
	Remote  string // empty where the other server has not said who it is
	Pairs   []PairInfo
	Address net.Addr
	TLS     *tls.ConnectionState // nil without TLS
	Started time.Time
	LastIn  time.Time
	SM      bool // XEP-0198 on
	Waiting int  // bytes that the other server has not taken
	Unacked int  // stanzas that it has not acknowledged
}

// PairInfo is a pair of domains that a stream carries stanzas for.
type PairInfo struct {
	Local, Remote string
	Method        string // how it was proved: EXTERNAL, certificate, dialback
	Since         time.Time
}

// Streams returns all streams, oldest first, that want names: a domain, theirs or ours, or a stream's id; all where it is empty.
func (s *Server) Streams(want string) []StreamInfo {
	links := s.all()
	slices.SortFunc(links, func(a, b *link) int { return cmp.Compare(a.id, b.id) })
	out := []StreamInfo{}
	for _, l := range links {
		if want == "" || l.matches(want, true) {
			out = append(out, l.info())
		}
	}
	return out
}

// Close ends the streams of another server's domain, or the one of an id, and returns how many.
func (s *Server) Close(which string, e *stream.Error) (n int) {
	for _, l := range s.all() {
		if l.matches(which, false) {
			n++
			l.sc.CloseWith(e)
		}
	}
	return n
}

// matches tells whether a link is meant by its id, the other server's domain, or ours.
func (l *link) matches(want string, ours bool) bool {
	if l.ID() == want {
		return true
	}
	ends := l.ends.Load()
	return ends != nil && (ends.remote == want || ours && ends.local == want) || slices.ContainsFunc(*l.grants.Load(), func(g *grant) bool {
		return g.remote == want || ours && g.local == want
	})
}

func (l *link) info() StreamInfo {
	i := StreamInfo{
		ID: l.ID(), Out: l.out, Both: l.bidi.Load(), Address: l.sc.RemoteAddr(), TLS: l.sc.TLS(), Started: l.started, LastIn: l.sc.Heard(),
		Waiting: l.sc.Waiting(),
	}
	if ends := l.ends.Load(); ends != nil {
		i.Local, i.Remote = ends.local, ends.remote
	}
	for _, g := range *l.grants.Load() {
		i.Pairs = append(i.Pairs, PairInfo{g.local, g.remote, g.how, g.since})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	i.SM, i.Unacked = l.sm != nil, l.unacked()
	return i
}
