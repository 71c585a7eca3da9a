package bolt

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// What large costs: an archive of a million items, 900,000 of ten thousand accounts that talk to ten others each, and
// 100,000 of one account, alice. It takes a minute to build, so it is built once for all that is measured.
const (
	largeItems    = 1_000_000
	largeOwn      = 100_000
	largeAccounts = 10_000
)

// cpu is what the process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// message is a message between two accounts, archived on both sides.
func message(i int) []storage.Entry {
	from := i * 7919 % largeAccounts
	to := (from + 1 + i%10) % largeAccounts
	a, b := fmt.Sprintf("user%d", from), fmt.Sprintf("user%d", to)
	return []storage.Entry{
		{Owner: a, Item: storage.Item{With: b + "@a.test", Data: value350}, MaxItems: largeOwn},
		{Owner: b, Item: storage.Item{With: a + "@a.test", Data: value350}, MaxItems: largeOwn},
	}
}

// large builds the archive.
func large(b *testing.B) storage.Archive {
	b.Helper()
	ar := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{}).Bucket("modules", "a.test", "mam").Archive("user")
	const batch = 500
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := g * batch; i < largeItems/2; i += 8 * batch {
				var list []storage.Entry
				for j := i; j < i+batch; j++ {
					if j < largeOwn/2 {
						with := fmt.Sprintf("user%d@a.test", j%200)
						it := storage.Item{With: with, Data: value350}
						list = append(list, storage.Entry{Owner: "alice", Item: it}, storage.Entry{Owner: "alice", Item: it})
					} else {
						list = append(list, message(j)...)
					}
				}
				if _, err := ar.AppendAll(context.Background(), list...); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return ar
}

// BenchmarkLarge measures what a message and a page cost there.
func BenchmarkLarge(b *testing.B) {
	ar := large(b)
	ctx := context.Background()
	run := func(name string, n int, fn func(i int) error) {
		b.Run(name, func(b *testing.B) {
			from := cpu()
			at(b, n, fn)
			b.ReportMetric(float64((cpu()-from).Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
		})
	}
	for _, n := range []int{1, 64, 256} {
		run(fmt.Sprintf("both-sides/g=%d", n), n, func(i int) error {
			_, err := ar.AppendAll(ctx, message(i)...)
			return err
		})
	}
	first, err := ar.Page(ctx, "alice", storage.Query{Max: 1})
	check(b, err)
	middle := first.Items[0].At
	for after, n := "", 0; n < largeOwn/2; n += storage.MaxPage {
		p, err := ar.Page(ctx, "alice", storage.Query{After: after, Max: storage.MaxPage})
		check(b, err)
		last := p.Items[len(p.Items)-1]
		after, middle = last.ID, last.At
	}
	for _, q := range []struct {
		name string
		storage.Query
	}{
		{"page/last", storage.Query{Last: true}},
		{"page/time", storage.Query{Start: middle}},
		{"page/with", storage.Query{Last: true, With: "user7@a.test"}},
		{"page/with-time", storage.Query{Start: middle, With: "user7@a.test"}},
		{"page/ends", storage.Query{Max: 1}},
	} {
		run(q.name, 1, func(int) error {
			p, err := ar.Page(ctx, "alice", q.Query)
			if err == nil && len(p.Items) != 50 && q.Max == 0 {
				err = fmt.Errorf("%d items", len(p.Items))
			}
			return err
		})
	}
}

// BenchmarkTalk is 32 conversations at once in a small archive: what the commits themselves cost.
func BenchmarkTalk(b *testing.B) {
	ar := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{}).Bucket("modules", "a.test", "mam").Archive("user")
	for _, n := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("g=%d", n), func(b *testing.B) {
			from := cpu()
			at(b, n, func(i int) error {
				a, c := fmt.Sprintf("from%d", i%n), fmt.Sprintf("to%d", i%n)
				_, err := ar.AppendAll(context.Background(),
					storage.Entry{Owner: a, Item: storage.Item{With: c + "@a.test", Data: value350}, MaxItems: largeOwn},
					storage.Entry{Owner: c, Item: storage.Item{With: a + "@a.test", Data: value350}, MaxItems: largeOwn})
				return err
			})
			b.ReportMetric(float64((cpu()-from).Nanoseconds())/float64(b.N)/1000, "cpu-µs/op")
		})
	}
}

// BenchmarkSweep looks for what is too old in the archives of ten thousand accounts, and finds nothing.
func BenchmarkSweep(b *testing.B) {
	ar := openAt(b, filepath.Join(b.TempDir(), "x.db"), Options{}).Bucket("modules", "a.test", "mam").Archive("user")
	for i := 0; i < largeAccounts; i += 500 {
		var list []storage.Entry
		for j := i; j < i+500; j++ {
			list = append(list, storage.Entry{Owner: fmt.Sprintf("user%d", j), Item: storage.Item{With: "bob@a.test", Data: value350}})
		}
		_, err := ar.AppendAll(b.Context(), list...)
		check(b, err)
	}
	for b.Loop() {
		if n, err := ar.Expire(b.Context(), "", time.Unix(0, 0)); n != 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}
