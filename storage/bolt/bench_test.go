package bolt

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// at runs b.N operations on n goroutines at once.
func at(b *testing.B, n int, fn func(i int) error) {
	b.ReportAllocs()
	var next atomic.Int64
	done := make(chan error)
	b.ResetTimer()
	for range n {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= b.N {
					done <- nil
					return
				}
				if err := fn(i); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range n {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
}

var value350 = make([]byte, 350)

// BenchmarkPut stores durably; what many do at once shares its syncs.
func BenchmarkPut(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("g=%d", n), func(b *testing.B) {
			kv := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{}).Bucket("modules", "a.test", "b").KV("kv")
			at(b, n, func(i int) error {
				return kv.Put(context.Background(), fmt.Appendf(nil, "user%d", i%10_000), value350)
			})
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("g=%d", n), func(b *testing.B) {
			bk := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{}).Bucket("modules", "a.test", "b")
			at(b, n, func(i int) error {
				key := fmt.Appendf(nil, "user%d", i%10_000)
				return bk.Update(context.Background(), func(tx storage.Tx) error {
					if _, err := tx.KV("kv").Get(key); err != nil {
						return err
					}
					return tx.KV("kv").Put(key, value350)
				})
			})
		})
	}
}

func filled(b *testing.B, n int) storage.Bucket {
	bk := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{}).Bucket("modules", "a.test", "b")
	check(b, bk.Update(b.Context(), func(tx storage.Tx) error {
		for i := range n {
			if err := tx.KV("kv").Put(fmt.Appendf(nil, "user%d", i), value350); err != nil {
				return err
			}
		}
		return nil
	}))
	return bk
}

func BenchmarkGet(b *testing.B) {
	kv := filled(b, 10_000).KV("kv")
	at(b, 1, func(i int) error {
		_, err := kv.Get(context.Background(), fmt.Appendf(nil, "user%d", i*7919%10_000))
		return err
	})
}

func BenchmarkGetMissing(b *testing.B) {
	kv := filled(b, 10_000).KV("kv")
	at(b, 1, func(i int) error {
		if _, err := kv.Get(context.Background(), fmt.Appendf(nil, "user%d.", i*7919%10_000)); err != storage.ErrNotFound {
			return fmt.Errorf("got %v", err)
		}
		return nil
	})
}

// BenchmarkScan reads a roster of 100 of 10,000 entries.
func BenchmarkScan(b *testing.B) {
	kv := filled(b, 10_000).KV("kv")
	at(b, 1, func(i int) error {
		n := 0
		err := kv.Scan(context.Background(), []byte("user55"), nil, func(k, v []byte) bool { n++; return n < 100 })
		if n != 100 {
			return fmt.Errorf("%d entries, %v", n, err)
		}
		return err
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("g=%d", n), func(b *testing.B) {
			ar := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{}).Bucket("modules", "a.test", "mam").Archive("user")
			at(b, n, func(i int) error {
				_, err := ar.Append(context.Background(), fmt.Sprintf("user%d", i%1000), storage.Item{With: "bob@b.test", Data: value350})
				return err
			})
		})
	}
}

// BenchmarkPage reads the last 50 of an owner's items, of all and of those with one contact.
func BenchmarkPage(b *testing.B) {
	s := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{})
	ar := s.Bucket("modules", "a.test", "mam").Archive("user")
	release := make(chan error, 256)
	const items = 20_000
	for g := range cap(release) {
		go func() {
			for i := g; i < items; i += cap(release) {
				it := storage.Item{With: fmt.Sprintf("user%d@b.test", i%100), Data: value350}
				if _, err := ar.Append(context.Background(), "alice", it); err != nil {
					release <- err
					return
				}
			}
			release <- nil
		}()
	}
	for range cap(release) {
		check(b, <-release)
	}
	var middle time.Time
	for after, n := "", 0; n < items/2; n += storage.MaxPage {
		p, err := ar.Page(b.Context(), "alice", storage.Query{After: after, Max: storage.MaxPage})
		check(b, err)
		last := p.Items[len(p.Items)-1]
		after, middle = last.ID, last.At
	}
	for name, q := range map[string]storage.Query{
		"last":   {Last: true},
		"with":   {Last: true, With: "user7@b.test"},
		"time":   {Start: middle},
		"middle": {Start: middle, With: "user7@b.test"},
	} {
		b.Run(name, func(b *testing.B) {
			at(b, 1, func(int) error {
				p, err := ar.Page(context.Background(), "alice", q)
				if err == nil && len(p.Items) != 50 {
					err = fmt.Errorf("%d items", len(p.Items))
				}
				return err
			})
		})
	}
}
