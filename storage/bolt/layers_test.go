package bolt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/internal/driver"
)

// model is what a store must have, in plain maps.
type model struct {
	kv    map[string]map[string]string // by bucket
	items map[string][]storage.Item    // by bucket and owner
	last  map[string]string            // the highest ID by bucket and owner
	keys  []string                     // that are ever used
	paths [][]string                   // of buckets
}

func newModel() *model {
	return &model{
		kv: map[string]map[string]string{}, items: map[string][]storage.Item{}, last: map[string]string{},
		keys:  []string{"a", "ab", "b", "b\x00", "c", "\xff"},
		paths: [][]string{{"x"}, {"x", "sub"}, {"y"}},
	}
}

func name(path []string) string { return strings.Join(path, "/") }

var owners = []string{"o", "o2", ""}

// layersRun plays the operations that bytes say, on a store and on the model.
type layersRun struct {
	t    *testing.T
	s    *Store
	m    *model
	in   []byte
	n    int // operations so far
	opts Options
}

func (r *layersRun) byte() byte {
	if len(r.in) == 0 {
		return 0
	}
	b := r.in[0]
	r.in = r.in[1:]
	return b
}

func (r *layersRun) pick(list []string) string { return list[int(r.byte())%len(list)] }

func (r *layersRun) path() []string { return r.m.paths[int(r.byte())%len(r.m.paths)] }

func (r *layersRun) value() string {
	return fmt.Sprintf("%d:%s", r.n, strings.Repeat("v", int(r.byte())*int(r.byte()%4)))
}

var errMine = errors.New("mine")

// failing is an operation that changes this and that, and then fails.
func (r *layersRun) failing() *op {
	path, key, owner, kind := r.path(), r.pick(r.m.keys), r.pick(owners), r.byte()
	b := r.s.Bucket(path...)
	kv, ar := b.KV("kv").(*kv), b.Archive("ar").(*archive)
	return &op{run: func(w *writeTx) error {
		var err error
		switch kind % 4 {
		case 0:
			err = w.put(w.tab(kv.id, kv.in), []byte(key), record([]byte(key), []byte("never")))
		case 1:
			err = w.delete(w.tab(kv.id, kv.in), []byte(key))
		case 2:
			w.drop(kv.id, kv.in)
			w.drop(ar.id, ar.in)
		case 3:
			names := ar.owner(owner)
			w.drop(tableID(names), names)
			err = w.put(w.tab(ar.id, ar.in), keyFloor, record(keyFloor, make([]byte, 8)))
		}
		return errors.Join(err, errMine)
	}}
}

// looking is an operation that expects what the model has.
func (r *layersRun) looking(path []string, key string) *op {
	want, ok := r.m.kv[name(path)][key]
	return r.s.Bucket(path...).(*bucket).update(func(tx storage.Tx) error {
		v, err := tx.KV("kv").Get([]byte(key))
		if err == nil && (string(v) != want || (v != nil) != ok) {
			err = fmt.Errorf("%s %s: %q, want %q", name(path), key, v, want)
		}
		return err
	})
}

func (r *layersRun) put(path []string, key, value string) {
	if r.m.kv[name(path)] == nil {
		r.m.kv[name(path)] = map[string]string{}
	}
	r.m.kv[name(path)][key] = value
}

// reopen closes the store, or has it crash, and opens it again.
func (r *layersRun) reopen(crash bool) {
	if crash {
		r.s.w.broken.Store(&errNoMark)
	}
	check(r.t, r.s.Close())
	s, err := openFormat(r.s.path, r.opts, current)
	check(r.t, err)
	r.s = s
}

func (r *layersRun) step() (what string) {
	t, ctx := r.t, r.t.Context()
	r.n++
	switch r.byte() % 16 {
	default:
		path, key, v := r.path(), r.pick(r.m.keys), r.value()
		check(t, r.s.Bucket(path...).KV("kv").Put(ctx, []byte(key), []byte(v)))
		r.put(path, key, v)
		return "put " + name(path) + " " + key
	case 1:
		path, key := r.path(), r.pick(r.m.keys)
		check(t, r.s.Bucket(path...).KV("kv").Delete(ctx, []byte(key)))
		delete(r.m.kv[name(path)], key)
		return "delete " + name(path) + " " + key
	case 2, 3, 4:
		path, owner, with := r.path(), r.pick(owners), r.pick([]string{"", "w", "w2"})
		it := storage.Item{With: with, At: time.Unix(int64(r.byte()), 0).UTC(), Data: []byte(r.value())}
		e := storage.Entry{Owner: owner, Item: it}
		if r.byte()%4 == 0 {
			e.MaxItems = 3
		}
		key := name(path) + "/" + owner
		var ids []string
		for range 1 + r.byte()%40 { // beyond a tail
			one, err := r.s.Bucket(path...).Archive("ar").AppendAll(ctx, e)
			check(t, err)
			ids = append(ids, one...)
		}
		for _, id := range ids {
			if id <= r.m.last[key] {
				t.Fatalf("append %s: %s after %s", key, id, r.m.last[key])
			}
			it.ID, r.m.last[key] = id, id
			r.m.items[key] = append(r.m.items[key], it)
			if n := len(r.m.items[key]); e.MaxItems > 0 && n > e.MaxItems {
				r.m.items[key] = r.m.items[key][min(n-e.MaxItems, driver.TrimMost):]
			}
		}
		return fmt.Sprintf("append %d %s", len(ids), key)
	case 5:
		path, owner := r.path(), r.pick(owners)
		key := name(path) + "/" + owner
		var ids []string
		for i, it := range r.m.items[key] {
			if r.byte()%2 == 0 && i < 8 {
				ids = append(ids, it.ID)
			}
		}
		check(t, r.s.Bucket(path...).Archive("ar").Remove(ctx, owner, ids...))
		r.m.items[key] = slices.DeleteFunc(r.m.items[key], func(it storage.Item) bool { return slices.Contains(ids, it.ID) })
		return fmt.Sprintf("remove %d %s", len(ids), key)
	case 6:
		path, owner := r.path(), r.pick(owners)
		check(t, r.s.Bucket(path...).Archive("ar").Drop(ctx, owner))
		delete(r.m.items, name(path)+"/"+owner)
		return "drop " + name(path) + "/" + owner
	case 7:
		path := r.path()
		check(t, r.s.DeleteBucket(ctx, path...))
		gone := func(key string) bool {
			return key == name(path) || strings.HasPrefix(key, name(path)+"/")
		}
		for _, p := range r.m.paths {
			if !gone(name(p)) {
				continue
			}
			delete(r.m.kv, name(p))
			for _, o := range owners {
				delete(r.m.items, name(p)+"/"+o)
				delete(r.m.last, name(p)+"/"+o)
			}
		}
		return "delete bucket " + name(path)
	case 8: // one transaction, which may fail
		path, fails := r.path(), r.byte()%3 == 0
		puts := map[string]string{}
		err := r.s.Bucket(path...).Update(ctx, func(tx storage.Tx) error {
			for range 3 {
				k, v := r.pick(r.m.keys), r.value()
				if puts[k] = v; r.byte()%3 == 0 {
					puts[k] = ""
					check(t, tx.KV("kv").Delete([]byte(k)))
					continue
				}
				check(t, tx.KV("kv").Put([]byte(k), []byte(v)))
			}
			if fails {
				return errMine
			}
			return nil
		})
		if fails != (err == errMine) || !fails && err != nil {
			t.Fatalf("Update: %v", err)
		}
		if !fails {
			for k, v := range puts {
				if r.put(path, k, v); v == "" {
					delete(r.m.kv[name(path)], k)
				}
			}
		}
		return "update " + name(path)
	case 9: // a group, in the midst of which something fails
		var ops []*op
		release := hold(t, r.s)
		queue := func(o *op) { check(t, r.s.queue(ctx, o)); ops = append(ops, o) }
		for range 3 {
			path, key, v := r.path(), r.pick(r.m.keys), r.value()
			k := r.s.Bucket(path...).KV("kv").(*kv)
			queue(&op{run: func(w *writeTx) error { return w.put(w.tab(k.id, k.in), []byte(key), record([]byte(key), []byte(v))) }})
			queue(r.failing())
			r.put(path, key, v)
			queue(r.looking(r.path(), r.pick(r.m.keys)))
		}
		release()
		for i, o := range ops {
			if err := r.s.wait(ctx, o); (i%3 == 1) != errors.Is(err, errMine) || i%3 != 1 && err != nil {
				t.Fatalf("operation %d of a group: %v", i, err)
			}
		}
		return "group"
	case 10:
		check(t, r.s.flushed(ctx))
		return "flush"
	case 11: // a layer ends, and is not moved yet
		onWriter(t, r.s, func() {
			if r.s.frozen == nil && !r.s.applying && len(r.s.active.tables) > 0 {
				check(t, r.s.freeze())
				r.s.tried = time.Now()
			}
		})
		return "freeze"
	case 12:
		r.reopen(true)
		return "crash"
	case 13:
		r.reopen(false)
		return "close"
	case 14:
		path, before := r.path(), time.Unix(int64(r.byte()), 0)
		n, err := r.s.Bucket(path...).Archive("ar").Expire(ctx, "", before)
		check(t, err)
		for _, o := range owners {
			key := name(path) + "/" + o
			r.m.items[key] = slices.DeleteFunc(r.m.items[key], func(it storage.Item) bool {
				old := it.At.Before(before)
				if old {
					n--
				}
				return old
			})
		}
		if n != 0 {
			t.Fatalf("%d too many expired", n)
		}
		return "expire " + name(path)
	}
}

// compare reads in every way.
func (r *layersRun) compare(what string) {
	t, ctx := r.t, r.t.Context()
	t.Helper()
	for _, path := range r.m.paths {
		b, want := r.s.Bucket(path...), r.m.kv[name(path)]
		for _, k := range r.m.keys {
			v, err := b.KV("kv").Get(ctx, []byte(k))
			if w, ok := want[k]; ok && (err != nil || string(v) != w) || !ok && err != storage.ErrNotFound {
				t.Fatalf("%s: Get %s %q: %q, %v, want %q, %v", what, name(path), k, v, err, w, ok)
			}
		}
		for _, q := range []struct{ prefix, from string }{{}, {"a", ""}, {"b", "b\x00"}, {"", "ab"}, {"", "b\x00\x00"}, {"z", ""}} {
			var got, expected []string
			for _, k := range slices.Sorted(maps.Keys(want)) {
				if strings.HasPrefix(k, q.prefix) && k >= q.from {
					expected = append(expected, k+"="+want[k])
				}
			}
			visit := func(k, v []byte) bool { got = append(got, string(k)+"="+string(v)); return true }
			check(t, b.View(ctx, func(tx storage.Tx) error { return tx.KV("kv").Scan([]byte(q.prefix), []byte(q.from), visit) }))
			if !slices.Equal(got, expected) {
				t.Fatalf("%s: Scan %s %+v:\n%q, want\n%q", what, name(path), q, got, expected)
			}
		}
		for _, owner := range owners {
			r.compareArchive(what, path, owner)
		}
	}
}

func (r *layersRun) compareArchive(what string, path []string, owner string) {
	t := r.t
	t.Helper()
	items, ar := r.m.items[name(path)+"/"+owner], r.s.Bucket(path...).Archive("ar")
	size := 0
	for _, it := range items {
		size += len(it.Data)
	}
	if n, bytes, err := ar.Stat(t.Context(), owner); err != nil || n != len(items) || int(bytes) != size {
		t.Fatalf("%s: Stat %s/%s: %d of %d bytes, %v; want %d of %d", what, name(path), owner, n, bytes, err, len(items), size)
	}
	for _, with := range []string{"", "w", "w2"} {
		var want []storage.Item
		for _, it := range items {
			if with == "" || it.With == with {
				want = append(want, it)
			}
		}
		for _, last := range []bool{false, true} {
			q := storage.Query{With: with, Max: 7, Last: last}
			var got []storage.Item
			for {
				p, err := ar.Page(t.Context(), owner, q)
				check(t, err)
				if last {
					got = append(slices.Clone(p.Items), got...)
				} else {
					got = append(got, p.Items...)
				}
				if p.Complete || len(p.Items) == 0 {
					break
				}
				q.Before, q.After = p.Items[0].ID, ""
				if !last {
					q.Before, q.After = "", p.Items[len(p.Items)-1].ID
				}
			}
			if !slices.EqualFunc(got, want, func(a, b storage.Item) bool {
				return a.ID == b.ID && a.With == b.With && a.At.Equal(b.At) && string(a.Data) == string(b.Data)
			}) {
				t.Fatalf("%s: Page %s/%s with %q, last %v: %d items, want %d", what, name(path), owner, with, last, len(got), len(want))
			}
		}
	}
	for _, it := range items {
		if got, err := ar.Get(t.Context(), owner, it.ID); err != nil || string(got.Data) != string(it.Data) {
			t.Fatalf("%s: item %s: %v", what, it.ID, err)
		}
	}
}

// TestTrimAnew bounds an archive whose IDs begin anew, below those that were trimmed before it was deleted.
func TestTrimAnew(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	for _, at := range []int64{1000, 10} {
		for i := range int64(6) {
			_, err := s.Bucket("b").Archive("ar").AppendAll(t.Context(), storage.Entry{Owner: "o", Item: storage.Item{At: time.Unix(at+i, 0)}, MaxItems: 3})
			check(t, err)
		}
		if n, _, err := s.Bucket("b").Archive("ar").Stat(t.Context(), "o"); n != 3 || err != nil {
			t.Errorf("%d items, %v", n, err)
		}
		check(t, s.DeleteBucket(t.Context(), "b"))
	}
}

// FuzzLayers does what the bytes say, and compares all with plain maps after each step, whether it lies in the file, in a layer, in
// two, or was read from journals.
func FuzzLayers(f *testing.F) {
	for i := range 6 {
		rnd := rand.New(rand.NewPCG(11, uint64(i)))
		b := make([]byte, 600)
		for j := range b {
			b[j] = byte(rnd.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := &layersRun{t: t, m: newModel(), in: in}
		r.opts = Options{noSync: true, layerSize: []int{1, 300, 3000, 1 << 20}[int(r.byte())%4], InitialMmapSize: 1 << 20}
		s, err := openFormat(filepath.Join(t.TempDir(), "x.db"), r.opts, current)
		check(t, err)
		r.s = s
		t.Cleanup(func() { r.s.Close() })
		did := []string{}
		for len(r.in) > 0 && r.n < 80 {
			did = append(did, r.step())
			r.compare(strings.Join(did[max(0, len(did)-12):], "; "))
		}
		check(t, r.s.Verify(context.Background()))
		r.reopen(false)
		r.compare("at the end")
	})
}
