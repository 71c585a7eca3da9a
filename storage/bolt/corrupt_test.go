package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// sample is a store whose whole content is known.
type sample struct {
	kv    map[string]string            // "bucket/key"
	items map[string]map[string]string // by owner and ID
}

func (sm *sample) fill(t testing.TB, s storage.Store) {
	sm.kv = map[string]string{}
	sm.items = map[string]map[string]string{}
	rnd := rand.New(rand.NewPCG(3, 4))
	value := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	for _, name := range []string{"small", "roster", "large"} {
		n := map[string]int{"small": 5, "roster": 400, "large": 4}[name]
		check(t, s.Bucket("modules", "a.test", name).Update(t.Context(), func(tx storage.Tx) error {
			for i := range n {
				size := map[string]int{"small": 10, "roster": 150, "large": 30_000}[name]
				k, v := fmt.Sprintf("key%04d", i), value(rnd.IntN(size))
				sm.kv[name+"/"+k] = string(v)
				if err := tx.KV("kv").Put([]byte(k), v); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for i := range 3 * 40 {
		owner := fmt.Sprintf("owner%d", i%3)
		d := value(rnd.IntN(600))
		id, err := s.Bucket("mam").Archive("ar").Append(t.Context(), owner, storage.Item{At: at.Add(time.Duration(i) * time.Second), With: "w@x", Data: d})
		check(t, err)
		if sm.items[owner] == nil {
			sm.items[owner] = map[string]string{}
		}
		sm.items[owner][id] = string(d)
	}
}

// read reads everything in every way. What comes must be right. Unless what may be missing, all must come, or ErrCorrupt.
func (sm *sample) read(t *testing.T, s storage.Store, missing bool) (damaged int) {
	t.Helper()
	bad := func(what string, err error) {
		t.Helper()
		switch {
		case errors.Is(err, storage.ErrCorrupt):
			damaged++
		case missing && (err == nil || errors.Is(err, storage.ErrNotFound)):
		default:
			t.Errorf("%s: %v", what, err)
		}
	}
	for k, want := range sm.kv {
		name, key, _ := strings.Cut(k, "/")
		v, err := s.Bucket("modules", "a.test", name).KV("kv").Get(t.Context(), []byte(key))
		if err != nil {
			bad("Get "+k, err)
		} else if string(v) != want {
			t.Errorf("Get %s: wrong bytes", k)
		}
	}
	for _, name := range []string{"small", "roster", "large"} {
		n, total := 0, 0
		for k := range sm.kv {
			if strings.HasPrefix(k, name+"/") {
				total++
			}
		}
		visit := func(k, v []byte) bool {
			n++
			if want, ok := sm.kv[name+"/"+string(k)]; !ok || want != string(v) {
				t.Errorf("Scan %s: wrong bytes at %q", name, k)
			}
			return true
		}
		b := s.Bucket("modules", "a.test", name)
		if err := b.KV("kv").Scan(t.Context(), nil, nil, visit); err != nil || n != total {
			bad(fmt.Sprintf("Scan %s: %d of %d", name, n, total), err)
		}
		n = 0
		err := b.View(t.Context(), func(tx storage.Tx) error { return tx.KV("kv").Scan(nil, nil, visit) })
		if err != nil || n != total {
			bad(fmt.Sprintf("View %s: %d of %d", name, n, total), err)
		}
	}
	ar := s.Bucket("mam").Archive("ar")
	for owner, items := range sm.items {
		for id, want := range items {
			it, err := ar.Get(t.Context(), owner, id)
			if err != nil {
				bad("item "+id, err)
			} else if string(it.Data) != want || it.With != "w@x" || it.ID != id {
				t.Errorf("item %s: wrong bytes", id)
			}
		}
		for _, q := range []storage.Query{{Max: 100}, {Max: 100, Last: true}, {With: "w@x", Max: 100}} {
			p, err := ar.Page(t.Context(), owner, q)
			for _, it := range p.Items {
				if want, ok := items[it.ID]; !ok || want != string(it.Data) {
					t.Errorf("Page %+v: wrong bytes at %s", q, it.ID)
				}
			}
			if err != nil || len(p.Items) != len(items) {
				bad(fmt.Sprintf("Page %+v: %d of %d", q, len(p.Items), len(items)), err)
			}
		}
		if n, _, err := ar.Stat(t.Context(), owner); err != nil || n != len(items) {
			bad("Stat", err)
		}
	}
	return damaged
}

// damage changes a file's content in one of many ways, and says how.
func damage(b []byte, pageSize int, rnd *rand.Rand) string {
	used := len(b)
	at := func(n int) int { return rnd.IntN(used - n) }
	switch rnd.IntN(6) {
	case 0:
		i, bit := at(1), rnd.IntN(8)
		b[i] ^= 1 << bit
		return fmt.Sprintf("bit %d of byte %d flipped", bit, i)
	case 1:
		i := at(8)
		for j := range 8 {
			b[i+j] = byte(rnd.Uint32())
		}
		return fmt.Sprintf("8 bytes at %d overwritten", i)
	case 2: // a page's head or its first entries
		i := at(pageSize)/pageSize*pageSize + rnd.IntN(64)
		b[i] ^= byte(1 + rnd.IntN(255))
		return fmt.Sprintf("byte %d, in a head, changed", i)
	case 3:
		i, j := at(pageSize)/pageSize*pageSize, at(pageSize)/pageSize*pageSize
		p := bytes.Clone(b[i : i+pageSize])
		copy(b[i:i+pageSize], b[j:j+pageSize])
		copy(b[j:j+pageSize], p)
		return fmt.Sprintf("pages at %d and %d swapped", i, j)
	case 4:
		i := at(pageSize) / pageSize * pageSize
		clear(b[i : i+pageSize])
		return fmt.Sprintf("page at %d zeroed", i)
	default:
		i, j := at(pageSize)/pageSize*pageSize, at(pageSize)/pageSize*pageSize
		copy(b[i:i+pageSize], b[j:j+pageSize])
		return fmt.Sprintf("page at %d copied over that at %d", j, i)
	}
}

// TestCorruption damages a closed file again and again. It is refused, or what is damaged is reported when it is read,
// or nothing of importance was hit: never is a wrong byte served, and nothing crashes.
func TestCorruption(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{noSync: true})
	var sm sample
	sm.fill(t, s)
	sm.read(t, s, false)
	check(t, s.Close())
	whole := read(t, path)
	f, err := os.Open(path)
	check(t, err)
	c, err := newChecker(f)
	check(t, err)
	f.Close()
	whole = whole[:int(c.high)*c.pageSize]

	loops := repeats(t, 100, 30)
	var refusals, reported, right int
	for i := range loops {
		rnd := rand.New(rand.NewPCG(5, uint64(i)))
		content := bytes.Clone(whole)
		what := damage(content, c.pageSize, rnd)
		for _, unchecked := range []bool{false, true} {
			path := filepath.Join(t.TempDir(), "x.db")
			check(t, os.WriteFile(path, content, 0o600))
			verr := VerifyFile(t.Context(), path)
			if !bytes.Equal(read(t, path), content) {
				t.Errorf("%s: VerifyFile changed the file", what)
			}
			o := Options{CheckBudget: time.Minute, InitialMmapSize: 1 << 20, noSync: true}
			if unchecked {
				o.CheckBudget = -1 // as where a large file's check ends early
			}
			s, err := Open(path, o)
			if err != nil {
				refusals++
				wild := unchecked && errors.Is(err, storage.ErrReadOnly) // bolt wrote where it never should
				if !wild && !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: Open: %v", what, err)
				}
				if !unchecked && verr == nil {
					t.Errorf("%s: Open refuses what VerifyFile finds sound: %v", what, err)
				}
				if !unchecked && !bytes.Equal(read(t, path), content) {
					t.Errorf("%s: Open changed a file that it refused", what)
				}
				continue
			}
			n := sm.read(t, s, unchecked)
			if n > 0 {
				reported++
			} else {
				right++
			}
			if n > 0 && verr == nil {
				t.Errorf("%s: VerifyFile finds nothing, reading does", what)
			}
			if err := s.Verify(t.Context()); n > 0 && !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("%s: Verify: %v", what, err)
			}
			// Writing goes on, or is refused.
			b := s.Bucket("modules", "a.test", "roster")
			for i := range 20 {
				err := b.KV("kv").Put(t.Context(), fmt.Appendf(nil, "key%04d", i*20), []byte(sm.kv[fmt.Sprintf("roster/key%04d", i*20)]))
				if err != nil && !errors.Is(err, storage.ErrCorrupt) && !errors.Is(err, storage.ErrReadOnly) {
					t.Errorf("%s: Put: %v", what, err)
				}
			}
			sm.read(t, s, unchecked)
			s.Close()
			if t.Failed() {
				t.Fatalf("loop %d, unchecked %v: %s", i, unchecked, what)
			}
		}
	}
	t.Logf("%d refused, %d reported on reading, %d without effect", refusals, reported, right)
	if refusals == 0 || reported == 0 || right == 0 {
		t.Error("the damages are not of all kinds")
	}
}

// TestDamagedRecord changes one byte of a value, of a key and of counters, and expects just that to be reported.
func TestDamagedRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	kv := s.Bucket("b").KV("kv")
	for _, k := range []string{"alice", "bob", "carol"} {
		check(t, kv.Put(t.Context(), []byte("key-"+k), []byte("value-"+k)))
	}
	ar := s.Bucket("b").Archive("ar")
	var ids []string
	for _, d := range []string{"one", "two", "three"} {
		id, err := ar.Append(t.Context(), "o", storage.Item{With: "w@x", Data: []byte("data-" + d)})
		check(t, err)
		ids = append(ids, id)
	}
	check(t, s.Close())
	whole := read(t, path)
	open := func(t *testing.T, old, new string) *Store {
		t.Helper()
		content := bytes.ReplaceAll(whole, []byte(old), []byte(new))
		if bytes.Equal(content, whole) {
			t.Fatalf("%q is not in the file", old)
		}
		path := filepath.Join(t.TempDir(), "x.db")
		check(t, os.WriteFile(path, content, 0o600))
		return openAt(t, path, Options{})
	}
	t.Run("value", func(t *testing.T) {
		s := open(t, "value-bob", "value-bOb")
		kv := s.Bucket("b").KV("kv")
		_, err := kv.Get(t.Context(), []byte("key-bob"))
		if !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), `bucket "b"/"kv", key "key-bob"`) {
			t.Errorf("Get: %v", err)
		}
		seen := ""
		err = kv.Scan(t.Context(), nil, nil, func(k, v []byte) bool { seen += string(v) + " "; return true })
		if !errors.Is(err, storage.ErrCorrupt) || seen != "value-alice value-carol " {
			t.Errorf("Scan: %v, after %s", err, seen)
		}
		err = s.Bucket("b").Update(t.Context(), func(tx storage.Tx) error {
			seen = ""
			return tx.KV("kv").Scan(nil, nil, func(k, v []byte) bool { seen += string(v) + " "; return true })
		})
		if !errors.Is(err, storage.ErrCorrupt) || seen != "value-alice value-carol " {
			t.Errorf("Update: %v, after %s", err, seen)
		}
		check(t, kv.Put(t.Context(), []byte("other"), []byte("stays")))
		if err := storage.DeletePrefix(t.Context(), s.Bucket("b"), []byte("key-"), "kv"); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("DeletePrefix: %v", err)
		}
		seen = ""
		kv.Scan(t.Context(), nil, nil, func(_, v []byte) bool { seen += string(v) + " "; return true })
		if seen != "stays " {
			t.Errorf("DeletePrefix left %s", seen)
		}
		if err := s.Verify(t.Context()); !errors.Is(err, storage.ErrCorrupt) || !strings.Contains(err.Error(), "key-bob") {
			t.Errorf("Verify: %v", err)
		}
		check(t, kv.Put(t.Context(), []byte("key-bob"), []byte("new"))) // which mends it
		check(t, s.Verify(t.Context()))
	})
	t.Run("key", func(t *testing.T) {
		for _, changed := range []string{"key-boa", "key-boz"} {
			s := open(t, "key-bob", changed)
			for _, k := range []string{"key-bob", changed} {
				_, err := s.Bucket("b").KV("kv").Get(t.Context(), []byte(k))
				if !errors.Is(err, storage.ErrCorrupt) {
					t.Errorf("Get %s: %v", k, err)
				}
			}
			_, err := s.Bucket("b").KV("kv").Get(t.Context(), []byte("key-carol"))
			check(t, err)
		}
	})
	t.Run("item", func(t *testing.T) {
		s := open(t, "data-two", "data-tWo")
		ar := s.Bucket("b").Archive("ar")
		_, err := ar.Get(t.Context(), "o", ids[1])
		if !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("Get: %v", err)
		}
		for _, q := range []storage.Query{{}, {Last: true}, {With: "w@x"}} {
			p, err := ar.Page(t.Context(), "o", q)
			if !errors.Is(err, storage.ErrCorrupt) || len(p.Items) != 2 || string(p.Items[0].Data) != "data-one" {
				t.Errorf("Page %+v: %v, %+v", q, err, p)
			}
		}
		n, err := ar.Expire(t.Context(), "o", time.Now().Add(time.Hour))
		if n != 2 || !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("Expire: %d, %v", n, err)
		}
		check(t, ar.Remove(t.Context(), "o", ids[1])) // which mends it
		check(t, s.Verify(t.Context()))
		p, err := ar.Page(t.Context(), "o", storage.Query{With: "w@x"})
		if err != nil || len(p.Items) != 0 {
			t.Errorf("the index of With: %v, %+v", err, p)
		}
		if c, size, err := ar.Stat(t.Context(), "o"); c != 0 || size != 0 || err != nil {
			t.Errorf("Stat: %d, %d, %v", c, size, err)
		}
	})
	t.Run("counters", func(t *testing.T) {
		good := record(ownerKey("o", 'c'), counters{count: 3, bytes: 5*3 + 3 + 3 + 5}.encode())[recordHead:][:16]
		bad := bytes.Clone(good)
		bad[7] = 99
		s := open(t, string(good), string(bad))
		ar := s.Bucket("b").Archive("ar")
		if n, size, err := ar.Stat(t.Context(), "o"); n != 3 || size != 26 || err != nil {
			t.Errorf("Stat: %d, %d, %v", n, size, err)
		}
		if err := s.Verify(t.Context()); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("Verify: %v", err)
		}
		id, err := ar.Append(t.Context(), "o", storage.Item{At: time.Unix(0, 0), Data: []byte("four")})
		if err != nil || id <= ids[2] {
			t.Errorf("Append: %s, %v", id, err)
		}
		if n, size, err := ar.Stat(t.Context(), "o"); n != 4 || size != 30 || err != nil {
			t.Errorf("Stat: %d, %d, %v", n, size, err)
		}
		check(t, s.Verify(t.Context()))
	})
	t.Run("bucket's name", func(t *testing.T) {
		content := bytes.ReplaceAll(whole, []byte("kkv"), []byte("kkw"))
		path := filepath.Join(t.TempDir(), "x.db")
		check(t, os.WriteFile(path, content, 0o600))
		refused(t, path, storage.ErrCorrupt, "damaged", "put a backup in its place")
		s := openAt(t, path, Options{CheckBudget: -1})
		_, err := s.Bucket("b").KV("kw").Get(t.Context(), []byte("key-bob"))
		if !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("Get: %v", err)
		}
		if err := s.Bucket("b").KV("kw").Put(t.Context(), []byte("k"), nil); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("Put: %v", err)
		}
		check(t, s.Bucket("b").KV("fine").Put(t.Context(), []byte("k"), nil))
	})
}

// TestDamagedIndexed is what TestDamagedRecord does to an item and counters, where there are more of them.
func TestDamagedIndexed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	const items = 40
	var ids []string
	for i := range items {
		id, err := s.Bucket("b").Archive("ar").Append(t.Context(), "o", storage.Item{At: time.Unix(int64(i), 0), With: "w@x", Data: fmt.Appendf(nil, "data-%02d", i)})
		check(t, err)
		ids = append(ids, id)
	}
	check(t, s.Close())
	whole := read(t, path)
	damage := func(old, new string) storage.Archive {
		content := bytes.ReplaceAll(whole, []byte(old), []byte(new))
		if bytes.Equal(content, whole) {
			t.Fatalf("%q is not in the file", old)
		}
		path := filepath.Join(t.TempDir(), "x.db")
		check(t, os.WriteFile(path, content, 0o600))
		return openAt(t, path, Options{}).Bucket("b").Archive("ar")
	}
	with := func(ar storage.Archive, want int, wantErr error) {
		t.Helper()
		for _, last := range []bool{false, true} {
			p, err := ar.Page(t.Context(), "o", storage.Query{With: "w@x", Last: last, Max: 1000})
			if len(p.Items) != want || !errors.Is(err, wantErr) {
				t.Errorf("Page, last %v: %d items, wanted %d, %v", last, len(p.Items), want, err)
			}
		}
	}
	for _, i := range []int{5, items - 3} {
		ar := damage(fmt.Sprintf("data-%02d", i), fmt.Sprintf("dAta-%02d", i))
		with(ar, items-1, storage.ErrCorrupt)
		check(t, ar.Remove(t.Context(), "o", ids[i]))
		with(ar, items-1, nil)
		for range items { // the index goes on
			_, err := ar.Append(t.Context(), "o", storage.Item{With: "w@x", Data: []byte("more")})
			check(t, err)
		}
		with(ar, 2*items-1, nil)
	}
	good := counters{count: items, bytes: items * 7}.encode()[:16]
	bad := bytes.Clone(good)
	bad[7] = 99
	ar := damage(string(good), string(bad))
	with(ar, items, nil)
	if n, size, err := ar.Stat(t.Context(), "o"); n != items || size != items*7 || err != nil {
		t.Errorf("Stat: %d, %d, %v", n, size, err)
	}
	for range items {
		_, err := ar.Append(t.Context(), "o", storage.Item{With: "w@x", Data: []byte("more")})
		check(t, err)
	}
	with(ar, 2*items, nil)
}

// TestFreePages damages the list of free pages, which would let the next write destroy what is in use.
func TestFreePages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{})
	fill(t, s)
	check(t, s.Close())
	f, err := os.Open(path)
	check(t, err)
	defer f.Close()
	c, err := newChecker(f)
	check(t, err)
	whole := read(t, path)
	list := whole[int(c.freelist)*c.pageSize:]
	n := binary.NativeEndian
	if n.Uint16(list[10:]) < 2 {
		t.Fatal("fewer than two free pages")
	}
	for what, change := range map[string]func(){
		"in use":           func() { n.PutUint64(list[16:], c.root) },
		"there twice":      func() { n.PutUint64(list[16:], n.Uint64(list[24:])) },
		"beyond":           func() { n.PutUint64(list[16:], 1<<40) },
		"another kind":     func() { n.PutUint16(list[8:], flagLeaf) },
		"too many entries": func() { n.PutUint16(list[10:], 2000) },
	} {
		t.Run(what, func(t *testing.T) {
			old := bytes.Clone(list[:32])
			change()
			defer copy(list, old)
			path := filepath.Join(t.TempDir(), "x.db")
			check(t, os.WriteFile(path, whole, 0o600))
			refused(t, path, storage.ErrCorrupt, what, "list of free pages")
			if err := VerifyFile(t.Context(), path); !errors.Is(err, storage.ErrCorrupt) {
				t.Errorf("VerifyFile: %v", err)
			}
		})
	}
}

// TestManyFreePages has more free pages than the list's head can count.
func TestManyFreePages(t *testing.T) {
	const count, pageSize = 70_000, 4096
	n := binary.NativeEndian
	pages := (16 + 8 + count*8 + pageSize - 1) / pageSize
	b := make([]byte, (2+pages)*pageSize)
	list := b[2*pageSize:]
	n.PutUint64(list, 2)
	n.PutUint16(list[8:], flagFree)
	n.PutUint16(list[10:], 0xffff)
	n.PutUint32(list[12:], uint32(pages-1))
	n.PutUint64(list[16:], count)
	for i := range count {
		n.PutUint64(list[24+8*i:], uint64(1000+i))
	}
	c := &checker{r: bytes.NewReader(b), pageSize: pageSize, freelist: 2, high: 1000 + count, seen: make([]uint64, 2000)}
	check(t, c.free())
	for i := range count {
		if id := 1000 + i; c.seen[id/64]&(1<<(id%64)) == 0 {
			t.Fatalf("page %d was not read", id)
		}
	}
	n.PutUint64(list[16:], 1<<60)
	c.seen = make([]uint64, 2000)
	if err := c.free(); err == nil {
		t.Error("more entries than bytes")
	}
}

// FuzzCheck lets the checker read anything: it must end, and must not crash.
func FuzzCheck(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "x.db")
	s, err := openFormat(path, Options{}, current)
	check(f, err)
	fill(f, s)
	check(f, s.Close())
	b, err := os.ReadFile(path)
	check(f, err)
	fh, err := os.Open(path)
	check(f, err)
	c, err := newChecker(fh)
	check(f, err)
	fh.Close()
	whole := b[:int(c.high)*c.pageSize]
	f.Add(uint32(c.pageSize*2+8), []byte{1})
	f.Add(uint32(c.pageSize*3), []byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 255, 255, 255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, at uint32, patch []byte) {
		content := bytes.Clone(whole)
		copy(content[int(at)%len(content):], patch)
		c := &checker{r: bytes.NewReader(content), pageSize: c.pageSize, root: c.root, freelist: c.freelist, high: c.high}
		if err := c.run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(c.records) > maxRecords || c.damaged < len(c.records) {
			t.Fatalf("%d of %d damaged records are named", len(c.records), c.damaged)
		}
	})
}

func FuzzRecord(f *testing.F) {
	f.Add([]byte("k"), []byte("v"), 3, byte(1))
	f.Fuzz(func(t *testing.T, key, value []byte, at int, flip byte) {
		rec := record(key, value)
		if p, ok := payload(key, rec); !ok || !bytes.Equal(p, value) || p == nil {
			t.Fatalf("got %q, %v", p, ok)
		}
		if flip == 0 {
			return
		}
		rec[uint(at)%uint(len(rec))] ^= flip
		if _, ok := payload(key, rec); ok {
			t.Fatal("a changed record is taken")
		}
		if it, ok := decodeItem(key, record(key, value)); ok && len(it.data) > len(value) {
			t.Fatalf("an item of %d bytes from %d", len(it.data), len(value))
		}
	})
}
