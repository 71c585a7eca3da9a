package caps

import (
	"context"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// Service finds out what clients want to be told of (XEP-0060 §9.2).
type Service interface {
	// Learn finds out what the client that sent a presence wants to hear, and calls then with it: before it returns, where
	// the capabilities in the presence are known, else when the client has said, on that client's goroutine. It may never be
	// called: a client may say nothing. by is the account that asks; client is the full JID that the presence comes from.
	Learn(ctx context.Context, presence *stanza.Stanza, client, by stanza.JID, then func(context.Context, *Interest))
}

// notify is the end of a feature that means: tell me of news at the node before it.
const notify = "+notify"

// What is kept of one answer. One that has more is a client's that wants everything, or hostile.
const (
	maxNodes    = 128
	maxNodeSize = 256
)

// Interest are the nodes that a client wants to hear of. It is immutable; nil has none.
type Interest struct{ nodes []string } // sorted

// Wants tells whether the client wants to hear of a node.
func (in *Interest) Wants(node string) bool {
	if in == nil {
		return false
	}
	_, ok := slices.BinarySearch(in.nodes, node)
	return ok
}

// Nodes returns what the client wants to hear of, sorted. The slice must not be changed.
func (in *Interest) Nodes() []string {
	if in == nil {
		return nil
	}
	return in.nodes
}

// NewInterest makes an Interest, for tests of other modules.
func NewInterest(nodes ...string) *Interest {
	nodes = slices.Clone(nodes)
	slices.Sort(nodes)
	return &Interest{slices.Compact(nodes)}
}

// interestOf reads an answer.
func interestOf(query *stanza.Element) *Interest {
	var nodes []string
	for _, e := range query.Children {
		if e.NS != stanza.NSDiscoInf || e.Name != "feature" {
			continue
		}
		node, ok := strings.CutSuffix(e.Attr("var"), notify)
		if ok && node != "" && len(node) <= maxNodeSize && len(nodes) < maxNodes {
			nodes = append(nodes, strings.Clone(node))
		}
	}
	return NewInterest(nodes...)
}
