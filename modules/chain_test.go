package modules

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

func TestChainStops(t *testing.T) {
	var c Chain[int]
	var ran []int
	for i, err := range []error{nil, Done, nil} {
		c.On(Check, func(_ context.Context, v int) error { ran = append(ran, v+i); return err })
	}
	if err := c.Run(context.Background(), 10); err != Done || fmt.Sprint(ran) != "[10 11]" {
		t.Errorf("err %v, ran %v", err, ran)
	}
}

func TestAnswer(t *testing.T) {
	own := stanza.Err(stanza.Conflict, "x")
	for _, tt := range []struct {
		err  error
		want stanza.Condition
		log  bool
	}{
		{own, stanza.Conflict, false},
		{fmt.Errorf("wrapped: %w", own), stanza.Conflict, false},
		{fmt.Errorf("bolt: %w", storage.ErrFull), stanza.ResourceConstraint, true},
		{storage.ErrReadOnly, stanza.ResourceConstraint, true},
		{errors.New("secret of ours"), stanza.InternalServerError, true},
	} {
		e, log := Answer(tt.err)
		if e.Condition != tt.want || log != tt.log || log && e.Text != "" {
			t.Errorf("%v: %v %v", tt.err, e, log)
		}
	}
}

// fourHooks is the way of a stanza past modules none of which is interested.
func fourHooks(ctx context.Context, t *Table, p *Packet) error {
	if err := t.Hooks.Outgoing.Run(ctx, p); err != nil {
		return err
	}
	if err := t.Hooks.ToBare.Run(ctx, p); err != nil {
		return err
	}
	if err := t.Hooks.ToFull.Run(ctx, p); err != nil {
		return err
	}
	return t.Hooks.ToClient.Run(ctx, p)
}

func TestIdleHooksCostNoAllocation(t *testing.T) {
	ctx, tb, p := context.Background(), &Table{}, &Packet{}
	if n := testing.AllocsPerRun(100, func() { fourHooks(ctx, tb, p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIdleHooks(b *testing.B) {
	ctx, tb, p := context.Background(), &Table{}, &Packet{}
	b.ReportAllocs()
	for b.Loop() {
		if err := fourHooks(ctx, tb, p); err != nil {
			b.Fatal(err)
		}
	}
}
