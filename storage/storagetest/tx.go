package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

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
