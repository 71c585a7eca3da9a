package modules

import (
	"strings"
	"testing"
)

// TestLRU: the order of use decides who goes, the weight how many; what goes is not counted any more.
func TestLRU(t *testing.T) {
	c := NewLRU[string](10, func(s string) int { return len(s) })
	has := func() string {
		var got []string
		for _, k := range []string{"a", "b", "c", "d"} {
			if e := c.entries[k]; e != nil {
				got = append(got, k)
			}
		}
		return strings.Join(got, "")
	}
	for _, step := range []struct {
		what   string
		do     func()
		keys   string
		weight int
	}{
		{"three", func() { c.Put("a", "xxx"); c.Put("b", "xxx"); c.Put("c", "xxx") }, "abc", 9},
		{"an old one is asked for, another comes", func() { c.Get("a"); c.Put("d", "xxx") }, "acd", 9},
		{"one in the place of itself counts once, and is used", func() { c.Put("c", "xx"); c.Get("d"); c.Get("c") }, "acd", 8},
		{"one grows", func() { c.Put("d", "xxxxxx") }, "cd", 8},
		{"one is forgotten, twice", func() { c.Delete("c"); c.Delete("c") }, "d", 6},
		{"there is room again", func() { c.Put("a", "xxxx") }, "ad", 10},
		{"fewer", func() { c.Resize(9) }, "a", 4},
		{"larger than all", func() { c.Put("b", strings.Repeat("x", 10)) }, "", 0},
		{"and the next", func() { c.Put("b", "x") }, "b", 1},
		{"none", func() { c.Resize(0); c.Put("a", "x") }, "", 0},
	} {
		step.do()
		if got := has(); got != step.keys || c.Weight() != step.weight || c.Len() != len(step.keys) || c.order.Len() != len(step.keys) {
			t.Errorf("%s: has %s, weight %d, %d entries", step.what, got, c.Weight(), c.Len())
		}
	}
	if v, ok := c.Get("a"); ok || v != "" {
		t.Errorf("there is %q", v)
	}
	each := NewLRU[int, int](2, nil)
	for i := range 3 {
		each.Put(i, 0)
	}
	if _, ok := each.Get(0); ok || each.Len() != 2 || each.Max() != 2 {
		t.Errorf("%d entries of %d", each.Len(), each.Max())
	}
}
