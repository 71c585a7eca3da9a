package driver

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestMap compares the map with a plain one.
func TestMap(t *testing.T) {
	for _, keys := range []int{3, 300, 5000} {
		rnd := rand.New(rand.NewPCG(1, uint64(keys)))
		var m Map[int]
		plain := map[string]int{}
		ceil := func(key string, after bool) string {
			best := ""
			for k := range plain {
				if (k > key || k == key && !after) && (best == "" || k < best) {
					best = k
				}
			}
			return best
		}
		for i := range 4 * keys {
			key := fmt.Sprint(rnd.IntN(keys))
			switch _, had := plain[key]; rnd.IntN(3) {
			case 0:
				if m.Delete(key) != had {
					t.Fatalf("Delete %s: not %v", key, had)
				}
				delete(plain, key)
			default:
				m.Set(key, i)
				plain[key] = i
			}
			if v, ok := m.Get(key); v != plain[key] || ok != (plain[key] != 0 || i == 0 && len(plain) == 1) && i > 0 {
				t.Fatalf("Get %s: %d, %v", key, v, ok)
			}
			if m.Len() != len(plain) {
				t.Fatalf("%d keys, want %d", m.Len(), len(plain))
			}
			if i%50 == 0 {
				after := rnd.IntN(2) == 0
				k, v, ok := m.Ceil(key, after)
				if want := ceil(key, after); k != want || ok != (want != "") || ok && v != plain[k] {
					t.Fatalf("Ceil %s, %v: %s, want %s", key, after, k, want)
				}
			}
		}
		var all []string
		for k, _, ok := m.Ceil("", false); ok; k, _, ok = m.Ceil(k, true) {
			all = append(all, k)
		}
		if len(all) != len(plain) || !slices.IsSorted(all) {
			t.Fatalf("%d keys in order, want %d", len(all), len(plain))
		}
	}
}

func TestMapAppend(t *testing.T) { // the common order
	var m Map[int]
	for i := range 10 * chunk {
		m.Set(fmt.Sprintf("%06d", i), i)
	}
	for i := range 10 * chunk {
		if v, ok := m.Get(fmt.Sprintf("%06d", i)); v != i || !ok {
			t.Fatalf("Get %d: %d, %v", i, v, ok)
		}
	}
	if len(m.chunks) > 11 {
		t.Errorf("%d chunks", len(m.chunks))
	}
}

func TestIDs(t *testing.T) {
	last := ""
	for _, id := range []uint64{0, 1, 31, 32, 1 << 40, 1_700_000_000_000_000, 1 << 63, math.MaxUint64 - 1, math.MaxUint64} {
		s := FormatID(id)
		if s <= last {
			t.Errorf("%s after %s", s, last)
		}
		last = s
		if got, ok := ParseID(s); got != id || !ok {
			t.Errorf("%s: %d, %v", s, got, ok)
		}
	}
	for _, bad := range []string{"", "0", "00000000000000", "000000000000w", "000000000000V", "0000000000001", "\n000000000000", "000000000000=", "00000\n0000000"} {
		if _, ok := ParseID(bad); ok {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add("0000000000000")
	f.Add("vvvvvvvvvvvvu")
	f.Fuzz(func(t *testing.T, s string) {
		if id, ok := ParseID(s); ok && FormatID(id) != s {
			t.Fatalf("%q is read as %q", s, FormatID(id))
		}
	})
}

func TestNextID(t *testing.T) {
	at := time.UnixMicro(1000)
	for _, test := range []struct {
		at            time.Time
		last, id, lag uint64
	}{
		{at, 0, 1000, 0},
		{at, 999, 1000, 0},
		{at, 1000, 1001, 1},
		{at, 5000, 5001, 4001},
		{at.Add(999), 0, 1000, 0},
		{time.Time{}, 0, 1, 0},
		{time.Unix(-5, 0), 7, 8, 7},
		{time.Unix(math.MaxInt32*1000, 0), 7, math.MaxInt32 * 1e9, 0},
	} {
		if id, lag := NextID(test.at, test.last); id != test.id || lag != test.lag {
			t.Errorf("%+v: %d, %d", test, id, lag)
		}
	}
	if Later(at, math.MaxUint64) != math.MaxUint64 || Later(at, 5) != 1005 {
		t.Error("Later is wrong")
	}
}

// TestMapAllocs looks keys up that are made of bytes.
func TestMapAllocs(t *testing.T) {
	var m Map[int]
	for i := range 1000 {
		m.Set(fmt.Sprintf("key%04d", i), i)
	}
	key := []byte("key0500")
	if n := testing.AllocsPerRun(100, func() { m.Get(string(key)); m.Floor(string(key)) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
