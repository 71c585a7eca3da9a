package stream

import (
	"context"
	"slices"
	"testing"
)

func TestAwait(t *testing.T) {
	var b Batch
	var got []int
	await := func(b *Batch, n, size int) bool {
		return b.Await(size, func(context.Context) { got = append(got, n) })
	}
	if await(nil, 0, 0) || await(&b, 0, 0) {
		t.Fatal("left to nobody, or to who does not expect it")
	}
	b.Open()
	if any, _ := b.Owes(); any {
		t.Error("owes something before there is anything")
	}
	if !await(&b, 1, 1) || !await(&b, 2, 1) || len(got) > 0 {
		t.Fatalf("settled %v", got)
	}
	b.Shut()
	if await(&b, 3, 0) {
		t.Error("left after Shut")
	}
	if any, full := b.Owes(); !any || full {
		t.Errorf("owes %v, %v", any, full)
	}
	b.Settle(t.Context())
	b.Settle(t.Context())
	if any, _ := b.Owes(); any || !slices.Equal(got, []int{1, 2}) {
		t.Errorf("settled %v, owes %v", got, any)
	}
	b.Open()
	for i := range owedMost {
		if _, full := b.Owes(); full {
			t.Fatalf("full after %d", i)
		}
		await(&b, i, 0)
	}
	if _, full := b.Owes(); !full {
		t.Error("no bound in number")
	}
	b.Settle(t.Context())
	await(&b, 0, owedSize-1)
	if _, full := b.Owes(); full {
		t.Error("full too early")
	}
	await(&b, 0, 1)
	if _, full := b.Owes(); !full {
		t.Error("no bound in size")
	}
}
