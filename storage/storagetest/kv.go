package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

func testKV(t *testing.T, s storage.Store) {
	kv := s.Bucket("modules", "a.test", "roster").KV("items")
	_, err := kv.Get(t.Context(), []byte("k"))
	equal(t, "missing bucket", err, storage.ErrNotFound)
	check(t, kv.Delete(t.Context(), []byte("k")))

	key, value := []byte("k"), []byte("one")
	check(t, kv.Put(t.Context(), key, value))
	key[0], value[0] = 'x', 'x' // the driver has copies
	equal(t, "value", get(t, kv, "k"), "one")

	v, err := kv.Get(t.Context(), []byte("k"))
	check(t, err)
	v[0] = 'x' // and so has the caller
	_ = append(v, "beyond"...)
	equal(t, "value", get(t, kv, "k"), "one")

	put(t, kv, "k", "two")
	equal(t, "replaced value", get(t, kv, "k"), "two")
	put(t, kv, "empty", "")
	v, err = kv.Get(t.Context(), []byte("empty"))
	if err != nil || v == nil || len(v) != 0 {
		t.Fatalf("empty value: got %v, %v", v, err)
	}
	put(t, kv, "\x00\xff\x00", "odd\x00\xff")
	equal(t, "odd key", get(t, kv, "\x00\xff\x00"), "odd\x00\xff")

	check(t, kv.Delete(t.Context(), []byte("k")))
	check(t, kv.Delete(t.Context(), []byte("k")))
	_, err = kv.Get(t.Context(), []byte("k"))
	equal(t, "deleted key", err, storage.ErrNotFound)
	_, err = kv.Get(t.Context(), []byte("kk"))
	equal(t, "key beyond", err, storage.ErrNotFound)
}

func testScan(t *testing.T, s storage.Store) {
	kv := s.Bucket("b").KV("kv")
	equal(t, "scan of nothing", list(t, kv, "", ""), "")
	for _, k := range []string{"b/2", "a", "b/1", "c", "b", "b/3", "b0", "\xff\xff"} {
		put(t, kv, k, strings.ToUpper(k))
	}
	for _, test := range []struct{ prefix, from, want string }{
		{"", "", "a=A b=B b/1=B/1 b/2=B/2 b/3=B/3 b0=B0 c=C \xff\xff=\xff\xff "},
		{"b/", "", "b/1=B/1 b/2=B/2 b/3=B/3 "},
		{"b/", "b/2", "b/2=B/2 b/3=B/3 "},
		{"b/", "b/11", "b/2=B/2 b/3=B/3 "},
		{"b/", "a", "b/1=B/1 b/2=B/2 b/3=B/3 "},
		{"b/", "b0", ""},
		{"b/", "c", ""},
		{"", "b0", "b0=B0 c=C \xff\xff=\xff\xff "},
		{"\xff", "", "\xff\xff=\xff\xff "},
		{"x", "", ""},
	} {
		what := fmt.Sprintf("prefix %q, from %q", test.prefix, test.from)
		want := strings.ReplaceAll(test.want, "=\xff\xff", "="+strings.ToUpper("\xff\xff"))
		equal(t, what, list(t, kv, test.prefix, test.from), want)
		check(t, s.Bucket("b").View(t.Context(), func(tx storage.Tx) error {
			equal(t, "view, "+what, listTx(t, tx.KV("kv"), test.prefix, test.from), want)
			return nil
		}))
		check(t, s.Bucket("b").Update(t.Context(), func(tx storage.Tx) error {
			if got := listTx(t, tx.KV("kv"), test.prefix, test.from); got != want {
				return fmt.Errorf("update, %s: got %q, want %q", what, got, want)
			}
			return nil
		}))
	}
	n := 0
	check(t, kv.Scan(t.Context(), nil, nil, func(k, v []byte) bool { n++; return n < 3 }))
	equal(t, "visits before the stop", n, 3)
}

// testScanLong scans more than a driver may take at once, and writes while it does.
func testScanLong(t *testing.T, s storage.Store) {
	const total = 2000
	b := s.Bucket("b")
	kv := b.KV("kv")
	check(t, b.Update(t.Context(), func(tx storage.Tx) error {
		for i := range total {
			if err := tx.KV("kv").Put(fmt.Appendf(nil, "k%05d", i), fmt.Appendf(nil, "%d", i)); err != nil {
				return err
			}
		}
		return nil
	}))
	n := 0
	check(t, kv.Scan(t.Context(), []byte("k"), nil, func(k, v []byte) bool {
		if want := fmt.Sprintf("k%05d", n); string(k) != want || string(v) != fmt.Sprint(n) {
			t.Fatalf("got %s=%s, want %s", k, v, want)
		}
		if n++; n%100 == 0 { // what was visited may go, and another KV may grow
			check(t, kv.Delete(t.Context(), k))
			put(t, b.KV("other"), string(k), "x")
		}
		return true
	}))
	equal(t, "visited", n, total)
	n = 0
	check(t, kv.Scan(t.Context(), nil, nil, func(k, v []byte) bool { n++; return true }))
	equal(t, "visited after the deletions", n, total-total/100)

	ctx, cancel := context.WithCancel(t.Context())
	err := kv.Scan(ctx, nil, nil, func(k, v []byte) bool { cancel(); return true })
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("scan that was given up: %v", err)
	}
}

func testDeleteBucket(t *testing.T, s storage.Store) {
	check(t, s.DeleteBucket(t.Context(), "none"))
	paths := [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}, {"a", "bb"}, {"aa"}, {"b"}}
	for _, p := range paths {
		put(t, s.Bucket(p...).KV("kv"), "k", "v")
		_, err := s.Bucket(p...).Archive("ar").Append(t.Context(), "o", storage.Item{Data: []byte("d")})
		check(t, err)
	}
	check(t, s.DeleteBucket(t.Context(), "a", "none"))
	check(t, s.DeleteBucket(t.Context(), "a", "b"))
	gone := map[string]bool{"[a b]": true, "[a b c]": true}
	for _, p := range paths {
		_, err := s.Bucket(p...).KV("kv").Get(t.Context(), []byte("k"))
		n, _, serr := s.Bucket(p...).Archive("ar").Stat(t.Context(), "o")
		check(t, serr)
		if (err == storage.ErrNotFound) != gone[fmt.Sprint(p)] || (n == 0) != gone[fmt.Sprint(p)] {
			t.Errorf("%v: %v, %d items", p, err, n)
		}
	}
	put(t, s.Bucket("a", "b").KV("kv"), "new", "v")
	equal(t, "made again", list(t, s.Bucket("a", "b").KV("kv"), "", ""), "new=v ")
	if err := s.DeleteBucket(t.Context()); !errors.Is(err, storage.ErrLimit) {
		t.Errorf("DeleteBucket without a path: %v", err)
	}
}

func testLimits(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	kv := b.KV("kv")
	long := bytes.Repeat([]byte("k"), storage.MaxKey+1)
	for _, key := range [][]byte{nil, {}, long} {
		_, err := kv.Get(t.Context(), key)
		errs := []error{err, kv.Put(t.Context(), key, nil), kv.Delete(t.Context(), key),
			b.Update(t.Context(), func(tx storage.Tx) error { return tx.KV("kv").Put(key, nil) }),
			b.Update(t.Context(), func(tx storage.Tx) error { return tx.KV("kv").Delete(key) }),
			b.View(t.Context(), func(tx storage.Tx) error { _, err := tx.KV("kv").Get(key); return err })}
		for i, err := range errs {
			if !errors.Is(err, storage.ErrLimit) {
				t.Errorf("key of %d bytes, call %d: %v", len(key), i, err)
			}
		}
	}
	big := make([]byte, storage.MaxValue+1)
	name := string(long)
	ar := b.Archive("ar")
	_, err1 := ar.Append(t.Context(), name, storage.Item{})
	_, err2 := ar.Append(t.Context(), "o", storage.Item{With: name})
	_, err3 := ar.Append(t.Context(), "o", storage.Item{Data: big})
	_, err4 := b.Archive(name).Append(t.Context(), "o", storage.Item{})
	_, err5 := s.Bucket(name).Archive("ar").Append(t.Context(), "o", storage.Item{})
	for i, err := range []error{err1, err2, err3, err4, err5,
		kv.Put(t.Context(), []byte("k"), big),
		b.KV(name).Put(t.Context(), []byte("k"), nil),
		s.Bucket(name).KV("kv").Put(t.Context(), []byte("k"), nil),
		s.DeleteBucket(t.Context(), name),
		b.Update(t.Context(), func(tx storage.Tx) error { return tx.KV("kv").Put([]byte("k"), big) }),
		b.Update(t.Context(), func(tx storage.Tx) error { return tx.KV(name).Put([]byte("k"), nil) }),
		s.Bucket(name).Update(t.Context(), func(tx storage.Tx) error { return tx.KV("kv").Put([]byte("k"), nil) }),
	} {
		if !errors.Is(err, storage.ErrLimit) {
			t.Errorf("beyond the limits, call %d: %v", i, err)
		}
	}
	key := long[:storage.MaxKey]
	check(t, kv.Put(t.Context(), key, []byte("v")))
	equal(t, "longest key", get(t, kv, string(key)), "v")
	for _, zero := range []string{"z", "\x00"} {
		half := strings.Repeat(zero, storage.MaxPath/2-3)
		for _, path := range [][]string{{half, half}, {half + "zzz"}} {
			name := half[:storage.MaxPath-3*len(path)-len(strings.Join(path, ""))]
			put(t, s.Bucket(path...).KV(name), "k", "v")
			equal(t, "longest names", get(t, s.Bucket(path...).KV(name), "k"), "v")
			if err := s.Bucket(path...).KV(name+"z").Put(t.Context(), []byte("k"), nil); !errors.Is(err, storage.ErrLimit) {
				t.Errorf("a path one byte too long: %v", err)
			}
		}
	}
	name = name[:storage.MaxKey]
	_, err := ar.Append(t.Context(), name, storage.Item{With: name, Data: []byte("d")})
	check(t, err)
	p, err := ar.Page(t.Context(), name, storage.Query{With: name})
	check(t, err)
	equal(t, "items of the longest names", len(p.Items), 1)
}

func testLarge(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	fill := func(n int) []byte {
		v := make([]byte, n)
		for i := range v {
			v[i] = byte(i * 7)
		}
		return v
	}
	sizes := []int{4000, 4096, 10_000, 1 << 20, 5 << 20}
	for _, n := range sizes {
		check(t, b.KV("kv").Put(t.Context(), fmt.Appendf(nil, "k%d", n), fill(n)))
	}
	id, err := b.Archive("ar").Append(t.Context(), "o", storage.Item{Data: fill(3 << 20)})
	check(t, err)
	for _, n := range sizes {
		if got := get(t, b.KV("kv"), fmt.Sprintf("k%d", n)); got != string(fill(n)) {
			t.Errorf("value of %d bytes came back wrong", n)
		}
	}
	it, err := b.Archive("ar").Get(t.Context(), "o", id)
	check(t, err)
	if !bytes.Equal(it.Data, fill(3<<20)) {
		t.Error("item came back wrong")
	}
	n := 0
	check(t, b.KV("kv").Scan(t.Context(), nil, nil, func(k, v []byte) bool { n++; return true }))
	equal(t, "scanned", n, len(sizes))
}
