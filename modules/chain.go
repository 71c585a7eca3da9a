package modules

import (
	"context"
	"errors"
	"sort"
)

// Done is returned by a handler that has dealt with a packet: nobody further sees it.
var Done = errors.New("modules: done")

// Phase orders the handlers of a chain. Within a phase the order of modules/all holds.
type Phase uint8

// The phases.
const (
	Check Phase = iota // may refuse
	Amend              // may change
	Keep               // archives
	Copy               // sends more of it
	Watch
)

// String names a phase as doc/hooks.md does.
func (p Phase) String() string { return [...]string{"Check", "Amend", "Keep", "Copy", "Watch"}[p] }

type entry[F any] struct {
	phase  Phase
	module string
	fn     F
}

// Chain is a hook whose handlers may stop a packet. A handler returns nil to let it pass, Done to end its way, or a
// *stanza.Error that bounces to the sender; any other error is logged and bounces as internal-server-error.
type Chain[T any] struct {
	module string // whose registrations are recorded
	list   []entry[func(context.Context, T) error]
}

// On registers a handler.
func (c *Chain[T]) On(ph Phase, fn func(context.Context, T) error) {
	c.list = append(c.list, entry[func(context.Context, T) error]{ph, c.module, fn})
}

// Run calls the handlers in order until one returns an error, which it returns.
func (c *Chain[T]) Run(ctx context.Context, v T) error {
	for i := range c.list {
		if err := c.list[i].fn(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// Empty tells whether nobody is interested.
func (c *Chain[T]) Empty() bool { return len(c.list) == 0 }

// Notice is a hook that tells of something that has happened.
type Notice[T any] struct {
	module string
	list   []entry[func(context.Context, T)]
}

// On registers a handler.
func (n *Notice[T]) On(ph Phase, fn func(context.Context, T)) {
	n.list = append(n.list, entry[func(context.Context, T)]{ph, n.module, fn})
}

// Run calls the handlers in order.
func (n *Notice[T]) Run(ctx context.Context, v T) {
	for i := range n.list {
		n.list[i].fn(ctx, v)
	}
}

func merge[F any](into *[]entry[F], from []entry[F]) {
	*into = append(*into, from...)
	sort.SliceStable(*into, func(i, j int) bool { return (*into)[i].phase < (*into)[j].phase })
}
