package archive

import (
	"strings"
	"testing"
)

// IDs tell nothing: those of messages that follow each other have nothing in common, and are the same after a restart.
func TestIDs(t *testing.T) {
	x, err := NewIDs(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	const one, two = "01h2j3k4m5n6p", "01h2j3k4m5n6q"
	a, b := x.Public("alice", one), x.Public("alice", two)
	same := 0
	for i := range a {
		if a[i] == b[i] {
			same++
		}
	}
	if same > len(a)/2 || a == x.Public("bob", one) {
		t.Errorf("%s and %s", a, b)
	}
	again, _ := NewIDs(make([]byte, 32))
	if id, ok := again.Stored("alice", a); id != one || !ok {
		t.Errorf("%q, %v", id, ok)
	}
	for i := range a { // each character counts
		c := byte('A')
		if a[i] == c {
			c = 'B'
		}
		if id, ok := x.Stored("alice", a[:i]+string(c)+a[i+1:]); ok && id == one {
			t.Errorf("character %d does not count", i)
		}
	}
	for _, bad := range []string{"", a[1:], a + "A", a[:21] + "=", strings.Repeat("\n", 22)} {
		if _, ok := x.Stored("alice", bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}
