package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
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

func testUpdate(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	put(t, b.KV("one"), "a", "1")
	put(t, b.KV("one"), "b", "1")
	check(t, b.Update(t.Context(), func(tx storage.Tx) error {
		one, two := tx.KV("one"), tx.KV("two")
		if v, err := one.Get([]byte("missing")); v != nil || err != nil {
			return fmt.Errorf("missing key: %v, %v", v, err)
		}
		if v, err := two.Get([]byte("missing")); v != nil || err != nil {
			return fmt.Errorf("missing KV: %v, %v", v, err)
		}
		key, value := []byte("c"), []byte("2")
		err := errors.Join(one.Put(key, value), two.Put([]byte("x"), nil), one.Delete([]byte("a")), one.Delete([]byte("none")))
		key[0], value[0] = 'z', 'z'
		if v, err := one.Get([]byte("c")); string(v) != "2" || err != nil {
			return fmt.Errorf("own write: %q, %v", v, err)
		}
		if v, err := tx.KV("one").Get([]byte("a")); v != nil || err != nil {
			return fmt.Errorf("own deletion: %q, %v", v, err)
		}
		if v, err := two.Get([]byte("x")); v == nil || len(v) != 0 || err != nil {
			return fmt.Errorf("own empty value: %v, %v", v, err)
		}
		return err
	}))
	equal(t, "one", list(t, b.KV("one"), "", ""), "b=1 c=2 ")
	equal(t, "two", list(t, b.KV("two"), "", ""), "x= ")
	check(t, b.Update(t.Context(), func(tx storage.Tx) error { return nil }))
}

func testUpdateFails(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	put(t, b.KV("kv"), "a", "1")
	mine := errors.New("mine")
	// Failing and succeeding ones at once share commits; each must get its own outcome.
	each(32, func(i int) {
		key := fmt.Appendf(nil, "k%02d", i)
		err := b.Update(bg, func(tx storage.Tx) error {
			kv := tx.KV("kv")
			err := errors.Join(kv.Put(key, key), kv.Put([]byte("a"), key), kv.Delete([]byte("a")))
			if err == nil && i%2 == 0 {
				err = mine
			}
			if err == nil {
				err = kv.Put([]byte("a"), []byte("1"))
			}
			return err
		})
		if i%2 == 0 && err != mine || i%2 == 1 && err != nil {
			t.Errorf("update %d: %v", i, err)
		}
	})
	equal(t, "a", get(t, b.KV("kv"), "a"), "1")
	n := 0
	check(t, b.KV("kv").Scan(t.Context(), []byte("k"), nil, func(k, v []byte) bool {
		n++
		if k[2]%2 == 0 {
			t.Errorf("%s is left of an update that failed", k)
		}
		return true
	}))
	equal(t, "updates that succeeded", n, 16)
}

// testUpdateScan writes while it scans.
func testUpdateScan(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	for _, k := range []string{"a", "c", "e", "g"} {
		put(t, b.KV("kv"), k, "old")
	}
	seen := ""
	check(t, b.Update(t.Context(), func(tx storage.Tx) error {
		kv := tx.KV("kv")
		err := errors.Join(kv.Put([]byte("b"), []byte("new")), kv.Delete([]byte("c")), kv.Put([]byte("e"), []byte("new")))
		if err != nil {
			return err
		}
		err = kv.Scan(nil, nil, func(k, v []byte) bool {
			seen += fmt.Sprintf("%s=%s ", k, v)
			err = errors.Join(err, kv.Delete(k))
			switch string(k) {
			case "b":
				err = errors.Join(err, kv.Put([]byte("f"), []byte("ahead")), kv.Put([]byte("a"), []byte("behind")), kv.Delete([]byte("g")))
			}
			return true
		})
		return err
	}))
	equal(t, "seen", seen, "a=old b=new e=new f=ahead ")
	equal(t, "left", list(t, b.KV("kv"), "", ""), "a=behind ")
}

func testUpdatePanics(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	err := b.Update(t.Context(), func(tx storage.Tx) error {
		tx.KV("kv").Put([]byte("a"), []byte("1"))
		panic("mine")
	})
	if err == nil || !strings.Contains(err.Error(), "panic") {
		t.Fatalf("panic in Update: %v", err)
	}
	put(t, b.KV("kv"), "b", "2")
	equal(t, "left", list(t, b.KV("kv"), "", ""), "b=2 ")
}

// testTxEnds uses transactions after their end.
func testTxEnds(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	put(t, b.KV("kv"), "a", "1")
	var txs []storage.Tx
	keep := func(tx storage.Tx) error { txs = append(txs, tx); return nil }
	check(t, b.Update(t.Context(), keep))
	check(t, b.View(t.Context(), keep))
	for _, tx := range txs {
		kv := tx.KV("kv")
		_, err := kv.Get([]byte("a"))
		for i, err := range []error{err, kv.Put([]byte("a"), nil), kv.Delete([]byte("a")),
			kv.Scan(nil, nil, func(k, v []byte) bool { return true })} {
			if !errors.Is(err, storage.ErrTx) {
				t.Errorf("call %d after the end: %v", i, err)
			}
		}
	}
}

func testView(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	check(t, b.View(t.Context(), func(tx storage.Tx) error {
		v, err := tx.KV("kv").Get([]byte("a"))
		if v != nil || err != nil {
			t.Errorf("missing bucket: %v, %v", v, err)
		}
		return tx.KV("kv").Scan(nil, nil, func(k, v []byte) bool { t.Error("visited"); return true })
	}))
	put(t, b.KV("one"), "a", "0")
	put(t, b.KV("two"), "a", "0")
	err := b.View(t.Context(), func(tx storage.Tx) error { return tx.KV("one").Put([]byte("a"), []byte("1")) })
	if !errors.Is(err, storage.ErrTx) {
		t.Fatalf("write in a view: %v", err)
	}
	err = b.View(t.Context(), func(tx storage.Tx) error { return tx.KV("one").Delete([]byte("a")) })
	if !errors.Is(err, storage.ErrTx) {
		t.Fatalf("deletion in a view: %v", err)
	}
	equal(t, "left", get(t, b.KV("one"), "a"), "0")

	// Two KVs are always changed together: no view may see one of them ahead.
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			v := fmt.Appendf(nil, "%d", i)
			if err := b.Update(bg, func(tx storage.Tx) error {
				return errors.Join(tx.KV("one").Put([]byte("a"), v), tx.KV("two").Put([]byte("a"), v))
			}); err != nil {
				t.Error(err)
			}
		}
		stop.Store(true)
	}()
	each(4, func(int) {
		for !stop.Load() {
			if err := b.View(bg, func(tx storage.Tx) error {
				one, err1 := tx.KV("one").Get([]byte("a"))
				two, err2 := tx.KV("two").Get([]byte("a"))
				if err1 != nil || err2 != nil || !bytes.Equal(one, two) {
					return fmt.Errorf("%q, %v; %q, %v", one, err1, two, err2)
				}
				return nil
			}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	<-done
}

// testIsolation uses names that a careless encoding would mix up.
func testIsolation(t *testing.T, s storage.Store) {
	names := []string{"", "a", "b", "ab", "a/b", "/", "a\x00", "\x00", "\x00a", "1:a", "\xff", "ka", "ba", "aa", "a\x00o", "a\x00c", "f"}
	n := 0
	visit := func(fn func(kv storage.KV, ar storage.Archive, owner, mark string)) {
		for _, p := range [][]string{nil, {""}, {"a"}, {"a", "b"}, {"ab"}, {"a", ""}, {"", "a"}, {"a\x00b"}, {"1:a"}, {"\xff"}} {
			for _, name := range names {
				b := s.Bucket(p...)
				fn(b.KV(name), b.Archive("x"), fmt.Sprint(len(p))+name, fmt.Sprintf("%q %q", p, name))
				fn(b.KV("-"+name), b.Archive(name), "o", fmt.Sprintf("%q -%q", p, name))
			}
		}
	}
	if testing.Short() {
		names = names[:6]
	}
	var marks []string
	type one struct {
		kv    storage.KV
		ar    storage.Archive
		owner string
	}
	var all []one
	visit(func(kv storage.KV, ar storage.Archive, owner, mark string) {
		marks = append(marks, mark)
		all = append(all, one{kv, ar, owner})
	})
	each(len(all), func(i int) {
		if err := all[i].kv.Put(bg, []byte("k"), []byte(marks[i])); err != nil {
			t.Errorf("%s: %v", marks[i], err)
		}
		if _, err := all[i].ar.Append(bg, all[i].owner, storage.Item{Data: []byte(marks[i])}); err != nil {
			t.Errorf("%s: %v", marks[i], err)
		}
	})
	visit(func(kv storage.KV, ar storage.Archive, owner, mark string) {
		equal(t, mark, list(t, kv, "", ""), "k="+mark+" ")
		p, err := ar.Page(t.Context(), owner, storage.Query{})
		check(t, err)
		if len(p.Items) != 1 || string(p.Items[0].Data) != mark {
			t.Fatalf("archive %s: got %d items, %+v", mark, len(p.Items), p)
		}
		n++
	})
	equal(t, "parts", n, len(marks))
}

func testConcurrent(t *testing.T, s storage.Store) {
	const writers, rounds = 16, 20
	b := s.Bucket("b")
	each(writers, func(i int) {
		for j := range rounds {
			// A counter of all, and a key of its own, in ways that mix in one commit.
			err := b.Update(bg, func(tx storage.Tx) error {
				kv := tx.KV("kv")
				v, err := kv.Get([]byte("sum"))
				if err != nil {
					return err
				}
				n := 0
				fmt.Sscan(string(v), &n)
				return kv.Put([]byte("sum"), fmt.Appendf(nil, "%d", n+1))
			})
			key := fmt.Appendf(nil, "%d/%d", i, j)
			if err == nil {
				err = b.KV("kv").Put(bg, key, key)
			}
			var v []byte
			if err == nil { // one's own write is seen at once
				v, err = b.KV("kv").Get(bg, key)
			}
			if err == nil && !bytes.Equal(v, key) {
				err = fmt.Errorf("got %q", v)
			}
			if err == nil && j%2 == 0 {
				err = b.KV("kv").Delete(bg, key)
			}
			if err != nil {
				t.Errorf("writer %d, round %d: %v", i, j, err)
				return
			}
		}
	})
	equal(t, "sum", get(t, b.KV("kv"), "sum"), fmt.Sprint(writers*rounds))
	n := 0
	check(t, b.KV("kv").Scan(t.Context(), nil, nil, func(k, v []byte) bool { n++; return true }))
	equal(t, "keys", n, 1+writers*rounds/2)
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

func testCancel(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	put(t, b.KV("kv"), "a", "1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, gerr := b.KV("kv").Get(ctx, []byte("a"))
	_, aerr := b.Archive("ar").Append(ctx, "o", storage.Item{})
	_, agerr := b.Archive("ar").Get(ctx, "o", "x")
	_, perr := b.Archive("ar").Page(ctx, "o", storage.Query{})
	_, xerr := b.Archive("ar").Expire(ctx, "", bgTime)
	_, _, serr := b.Archive("ar").Stat(ctx, "o")
	for i, err := range []error{gerr, aerr, agerr, perr, xerr, serr,
		b.KV("kv").Put(ctx, []byte("b"), nil),
		b.KV("kv").Delete(ctx, []byte("a")),
		b.KV("kv").Scan(ctx, nil, nil, func(k, v []byte) bool { t.Error("visited"); return true }),
		b.Update(ctx, func(tx storage.Tx) error { t.Error("run"); return nil }),
		b.View(ctx, func(tx storage.Tx) error { t.Error("run"); return nil }),
		b.Archive("ar").Remove(ctx, "o", "x"),
		b.Archive("ar").Drop(ctx, "o"),
		s.DeleteBucket(ctx, "b"),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d with an ended context: %v", i, err)
		}
	}
	equal(t, "left", list(t, b.KV("kv"), "", ""), "a=1 ")

	// A context that ends while a write is under way: an error means that nothing was changed, and no error that all was.
	each(64, func(i int) {
		ctx, cancel := context.WithCancel(bg)
		go cancel()
		key := fmt.Appendf(nil, "k%d", i)
		err := b.KV("kv").Put(ctx, key, key)
		_, gerr := b.KV("kv").Get(bg, key)
		if err == nil && gerr != nil || err != nil && (!errors.Is(err, context.Canceled) || gerr != storage.ErrNotFound) {
			t.Errorf("Put: %v, then Get: %v", err, gerr)
		}
	})
}

func testClose(t *testing.T, s storage.Store) {
	b := s.Bucket("b")
	put(t, b.KV("kv"), "a", "1")
	// Writes under way are done or refused, never half.
	done := make(chan struct{})
	go func() {
		defer close(done)
		each(16, func(i int) {
			for j := 0; ; j++ {
				err := b.KV("kv").Put(bg, fmt.Appendf(nil, "%d/%d", i, j), nil)
				if err == storage.ErrClosed {
					return
				}
				if err != nil {
					t.Errorf("Put around Close: %v", err)
					return
				}
			}
		})
	}()
	check(t, s.Close())
	<-done
	check(t, s.Close())
	_, gerr := b.KV("kv").Get(t.Context(), []byte("a"))
	_, aerr := b.Archive("ar").Append(t.Context(), "o", storage.Item{})
	_, perr := b.Archive("ar").Page(t.Context(), "o", storage.Query{})
	_, _, serr := b.Archive("ar").Stat(t.Context(), "o")
	for i, err := range []error{gerr, aerr, perr, serr,
		b.KV("kv").Put(t.Context(), []byte("b"), nil),
		b.KV("kv").Scan(t.Context(), nil, nil, func(k, v []byte) bool { return true }),
		b.Update(t.Context(), func(tx storage.Tx) error { return nil }),
		b.View(t.Context(), func(tx storage.Tx) error { return nil }),
		s.DeleteBucket(t.Context(), "b"),
		s.Verify(t.Context()),
	} {
		if !errors.Is(err, storage.ErrClosed) {
			t.Errorf("call %d after Close: %v", i, err)
		}
	}
}

func testReopen(t *testing.T, s storage.Store, reopen Reopen) {
	b := s.Bucket("a", "b")
	put(t, b.KV("kv"), "k", "v")
	put(t, b.KV("kv"), "gone", "v")
	check(t, b.KV("kv").Delete(t.Context(), []byte("gone")))
	future := bgTime.AddDate(5, 0, 0)
	id1, err := b.Archive("ar").Append(t.Context(), "o", storage.Item{At: future, With: "w@x", Data: []byte("one")})
	check(t, err)
	for range 3 {
		s = reopen(t, s)
		b = s.Bucket("a", "b")
		equal(t, "reopened", list(t, b.KV("kv"), "", ""), "k=v ")
		it, err := b.Archive("ar").Get(t.Context(), "o", id1)
		check(t, err)
		if it.ID != id1 || !it.At.Equal(future) || it.With != "w@x" || string(it.Data) != "one" {
			t.Fatalf("reopened item: %+v", it)
		}
		check(t, s.Verify(t.Context()))
	}
	// The clock went back and the server was started anew: IDs rise all the same.
	last := id1
	for range 3 {
		s = reopen(t, s)
		id, err := s.Bucket("a", "b").Archive("ar").Append(t.Context(), "o", storage.Item{At: bgTime})
		check(t, err)
		if id <= last {
			t.Fatalf("ID %s after %s", id, last)
		}
		last = id
	}
	n, size, err := s.Bucket("a", "b").Archive("ar").Stat(t.Context(), "o")
	check(t, err)
	equal(t, "count", n, 4)
	equal(t, "bytes", size, 3)
	check(t, s.Close())
}

func testBackup(t *testing.T, s storage.Store) {
	defer s.Close()
	put(t, s.Bucket("b").KV("kv"), "k", "v")
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	check(t, s.Backup(ctx, &out))
	if out.Len() == 0 {
		t.Fatal("the backup is empty")
	}
	cancel()
	if err := s.Backup(ctx, &out); !errors.Is(err, context.Canceled) {
		t.Fatalf("backup that was given up: %v", err)
	}
}
