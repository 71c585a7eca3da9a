package authtoken

import (
	"reflect"
	"testing"
	"time"
)

func TestRecord(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, r := range []record{
		{Generation: 1},
		{Generation: 1<<63 - 1, Password: at.Add(987654321), Ceiling: 63934444800, Mark: 63934444799, Since: at, Used: at, Parents: []string{"certificate:a", "", "x"}},
	} {
		b := r.encode()
		got, err := decode(b)
		if err != nil || !reflect.DeepEqual(*got, r) {
			t.Errorf("%+v, %v", got, err)
		}
		for i := range b {
			if got, err := decode(b[:i]); err == nil {
				t.Errorf("cut after %d bytes: %+v", i, got)
			}
		}
		if _, err := decode(append(b, 0)); err == nil {
			t.Error("longer than it is")
		}
		b[0] = recordVersion + 1
		if _, err := decode(b); err == nil || err == errRecord {
			t.Errorf("a newer version: %v", err)
		}
	}
}

func TestNames(t *testing.T) {
	seen := map[string]string{}
	for _, parts := range [][]string{{"a", "b"}, {"ab"}, {"", "ab"}, {"ab", ""}, {"a", "", "b"}, {}} {
		n := string(name(parts...))
		if other, there := seen[n]; there {
			t.Errorf("%q is %s", parts, other)
		}
		seen[n] = "taken"
	}
}
