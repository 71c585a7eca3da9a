package modules

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Done is returned by a handler that has dealt with a packet: nobody further sees it.
//
//lint:ignore ST1012 a handler returns it to say what it has done, not what went wrong
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

// MarshalText implements encoding.TextMarshaler: phases have their names in JSON.
func (p Phase) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Phase) UnmarshalText(text []byte) error {
	for q := Check; q <= Watch; q++ {
		if q.String() == string(text) {
			*p = q
			return nil
		}
	}
	return fmt.Errorf("modules: no phase is called %q", text)
}

type entry[F any] struct {
	phase  Phase
	module string
	fn     F
}

// Chain is a hook whose handlers may stop a packet. A handler returns nil to let it pass, Done to end its way, or a
// *stanza.Error that bounces to the sender; any other error is logged and bounces as internal-server-error.
type Chain[T any] struct {
	reg  *registration // whose registrations are recorded; nil: nobody's, for tests of the core
	list []entry[func(context.Context, T) error]
}

// On registers a handler.
func (c *Chain[T]) On(ph Phase, fn func(context.Context, T) error) {
	record(c.reg, "a hook's handler", func(module string) {
		c.list = append(c.list, entry[func(context.Context, T) error]{ph, module, fn})
	})
}

// Run calls the handlers in order until one returns an error, which it returns.
func (c *Chain[T]) Run(ctx context.Context, v T) error {
	if len(c.list) == 0 { // small enough to be inlined: a hook without handlers costs a comparison
		return nil
	}
	return c.run(ctx, v)
}

func (c *Chain[T]) run(ctx context.Context, v T) error {
	for i := range c.list {
		if err := c.list[i].fn(ctx, v); err != nil {
			return err
		}
	}
	return nil
}

// Empty tells whether nobody is interested.
func (c *Chain[T]) Empty() bool { return len(c.list) == 0 }

func (c *Chain[T]) bind(r *registration) { c.reg = r }
func (c *Chain[T]) add(from hook)        { c.list = merge(c.list, from.(*Chain[T]).list) }
func (c *Chain[T]) handlers() []Handler  { return describe(c.list) }

// Notice is a hook that tells of something that has happened.
type Notice[T any] struct {
	reg  *registration
	list []entry[func(context.Context, T)]
}

// On registers a handler.
func (n *Notice[T]) On(ph Phase, fn func(context.Context, T)) {
	record(n.reg, "a hook's handler", func(module string) {
		n.list = append(n.list, entry[func(context.Context, T)]{ph, module, fn})
	})
}

// Run calls the handlers in order.
func (n *Notice[T]) Run(ctx context.Context, v T) {
	for i := range n.list {
		n.list[i].fn(ctx, v)
	}
}

func (n *Notice[T]) bind(r *registration) { n.reg = r }
func (n *Notice[T]) add(from hook)        { n.list = merge(n.list, from.(*Notice[T]).list) }
func (n *Notice[T]) handlers() []Handler  { return describe(n.list) }

// hook is what the loader does with a Chain or a Notice of any type.
type hook interface {
	bind(*registration)
	add(from hook) // appends the handlers of one module, phases in order
	handlers() []Handler
}

// merge adds one module's handlers behind those of the modules before it, phase by phase.
func merge[F any](into, from []entry[F]) []entry[F] {
	into = append(into, from...)
	slices.SortStableFunc(into, func(a, b entry[F]) int { return int(a.phase) - int(b.phase) })
	return into
}

func describe[F any](list []entry[F]) []Handler {
	out := make([]Handler, len(list))
	for i, e := range list {
		out[i] = Handler{e.module, e.phase}
	}
	return out
}
