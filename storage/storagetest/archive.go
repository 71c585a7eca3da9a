package storagetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

var bgTime = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func appendItem(t testing.TB, ar storage.Archive, owner string, at time.Time, with, data string) string {
	t.Helper()
	id, err := ar.Append(t.Context(), owner, storage.Item{At: at, With: with, Data: []byte(data)})
	check(t, err)
	return id
}

func page(t testing.TB, ar storage.Archive, owner string, q storage.Query) storage.Page {
	t.Helper()
	p, err := ar.Page(t.Context(), owner, q)
	if err != nil {
		t.Fatalf("Page %+v: %v", q, err)
	}
	return p
}

// texts writes the data of a page's items.
func texts(p storage.Page) (s string) {
	for _, it := range p.Items {
		s += string(it.Data) + " "
	}
	return s
}

func stat(t testing.TB, ar storage.Archive, owner string) string {
	t.Helper()
	n, size, err := ar.Stat(t.Context(), owner)
	check(t, err)
	return fmt.Sprintf("%d/%d", n, size)
}

func testArchive(t *testing.T, s storage.Store) {
	ar := s.Bucket("a.test", "mam").Archive("user")
	equal(t, "stat of nothing", stat(t, ar, "alice"), "0/0")
	p := page(t, ar, "alice", storage.Query{})
	if len(p.Items) != 0 || !p.Complete || p.Total != 0 {
		t.Fatalf("page of nothing: %+v", p)
	}
	_, err := ar.Get(t.Context(), "alice", "x")
	equal(t, "missing archive", err, storage.ErrNotFound)
	check(t, ar.Remove(t.Context(), "alice", "x"))
	check(t, ar.Drop(t.Context(), "alice"))

	at := bgTime.Add(123456789 * time.Nanosecond)
	data := []byte("<message/>")
	id, err := ar.Append(t.Context(), "alice", storage.Item{ID: "ignored", At: at.In(time.FixedZone("x", 3600)), With: "bob@b.test", Data: data})
	check(t, err)
	data[0] = 'x'
	for i := range 2 {
		it, err := ar.Get(t.Context(), "alice", id)
		check(t, err)
		if it.ID != id || it.At != at || it.With != "bob@b.test" || string(it.Data) != "<message/>" {
			t.Fatalf("read %d: %+v", i, it)
		}
		it.Data[0] = 'x'
	}
	p = page(t, ar, "alice", storage.Query{})
	if len(p.Items) != 1 || p.Items[0].ID != id || p.Items[0].At != at || p.Items[0].With != "bob@b.test" {
		t.Fatalf("page: %+v", p)
	}
	p.Items[0].Data[0] = 'x'
	equal(t, "data", texts(page(t, ar, "alice", storage.Query{})), "<message/> ")
	equal(t, "stat", stat(t, ar, "alice"), "1/10")
	equal(t, "another owner", stat(t, ar, "bob"), "0/0")
	for _, bad := range []string{"", "x", id + "0", id[1:], "zzzzzzzzzzzzz", id[:12] + "=", id[:12] + "\n"} {
		_, err := ar.Get(t.Context(), "alice", bad)
		equal(t, "ID "+bad, err, storage.ErrNotFound)
	}
	_, err = ar.Get(t.Context(), "bob", id)
	equal(t, "another owner's ID", err, storage.ErrNotFound)

	before := time.Now()
	id, err = ar.Append(t.Context(), "bob", storage.Item{})
	check(t, err)
	it, err := ar.Get(t.Context(), "bob", id)
	check(t, err)
	if it.At.Before(before.Round(0)) || it.At.After(time.Now()) || it.At.Location() != time.UTC || len(it.Data) != 0 || it.With != "" {
		t.Fatalf("empty item: %+v", it)
	}
}

func testArchiveIDs(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	last := ""
	next := func(at time.Time) {
		t.Helper()
		id := appendItem(t, ar, "o", at, "", "x")
		if id <= last || len(id) != 13 {
			t.Fatalf("ID %q after %q", id, last)
		}
		last = id
	}
	for range 3 {
		next(bgTime) // no time passes
	}
	next(bgTime.Add(-time.Hour)) // the clock goes back
	next(bgTime.AddDate(1, 0, 0))
	next(bgTime)
	next(time.Unix(-1000, 0)) // before the epoch
	next(bgTime.AddDate(2, 0, 0))
	// Also when all that it could be seen from is gone.
	p := page(t, ar, "o", storage.Query{})
	for _, it := range p.Items {
		check(t, ar.Remove(t.Context(), "o", it.ID))
	}
	equal(t, "stat", stat(t, ar, "o"), "0/0")
	next(bgTime)
	check(t, ar.Drop(t.Context(), "o"))
	next(bgTime)
	// Another owner's IDs are another's.
	if id := appendItem(t, ar, "p", bgTime, "", "x"); id == "" {
		t.Fatal("no ID")
	}
}

// testArchivePages compares pages with a plain list, with all bounds.
func testArchivePages(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	rnd := rand.New(rand.NewPCG(1, 2))
	withs := []string{"", "a@x", "a@xy", "b@x"}
	var all []storage.Item
	at := bgTime
	const total = 700 // more than a driver may read at once
	for i := range total {
		at = at.Add(time.Duration(rnd.IntN(3)) * time.Second)
		if i%150 == 149 {
			at = at.Add(-20 * time.Second) // the clock is set
		}
		all = append(all, storage.Item{At: at, With: withs[rnd.IntN(len(withs))], Data: fmt.Appendf(nil, "m%d", i)})
	}
	// In order, but many commits at once: the archives of other owners come between.
	for i := range all {
		done := make(chan struct{})
		if it := all[i]; i%20 == 0 {
			go func() {
				defer close(done)
				if _, err := ar.Append(bg, "other", it); err != nil {
					t.Error(err)
				}
			}()
		} else {
			close(done)
		}
		all[i].ID = appendItem(t, ar, "o", all[i].At, all[i].With, string(all[i].Data))
		<-done
	}
	gone := 0
	for i := 5; i < len(all); i += 50 {
		check(t, ar.Remove(t.Context(), "o", all[i].ID, "unknown"))
		all[i].Data, gone = nil, gone+1
	}
	moment := func() time.Time {
		if rnd.IntN(3) > 0 {
			return time.Time{}
		}
		return all[rnd.IntN(total)].At.Add(time.Duration(rnd.IntN(3)-1) * time.Microsecond)
	}
	id := func() string {
		if rnd.IntN(3) > 0 {
			return ""
		}
		return all[rnd.IntN(total)].ID // perhaps of one that is gone
	}
	for range 500 {
		q := storage.Query{With: withs[rnd.IntN(len(withs))], Start: moment(), End: moment(), After: id(), Before: id(),
			Max: rnd.IntN(5) * rnd.IntN(200), Last: rnd.IntN(2) == 0}
		var want []storage.Item
		count := 0
		for _, it := range all {
			if it.Data == nil || q.With != "" && it.With != q.With ||
				!q.Start.IsZero() && it.At.Before(q.Start) || !q.End.IsZero() && it.At.After(q.End) {
				continue
			}
			count++
			if (q.After == "" || it.ID > q.After) && (q.Before == "" || it.ID < q.Before) {
				want = append(want, it)
			}
		}
		n := q.Max
		if n == 0 {
			n = 50
		}
		complete := len(want) <= n
		if !complete && q.Last {
			want = want[len(want)-n:]
		} else if !complete {
			want = want[:n]
		}
		p := page(t, ar, "o", q)
		if len(p.Items) != len(want) || p.Complete != complete || p.Total != -1 && p.Total != count {
			t.Fatalf("%+v: got %d items, complete %v, total %d; want %d, %v, %d", q, len(p.Items), p.Complete, p.Total, len(want), complete, count)
		}
		for i, it := range p.Items {
			w := want[i]
			if it.ID != w.ID || it.At != w.At || it.With != w.With || string(it.Data) != string(w.Data) {
				t.Fatalf("%+v: item %d is %+v, want %+v", q, i, it, w)
			}
		}
	}
	equal(t, "total without a filter", page(t, ar, "o", storage.Query{Max: 1}).Total, total-gone)
	p := page(t, ar, "o", storage.Query{Max: -5})
	equal(t, "a page of negative size", len(p.Items), 50)
	for _, q := range []storage.Query{{After: "x"}, {Before: "x"}, {After: "zzzzzzzzzzzzz"}} {
		if _, err := ar.Page(t.Context(), "o", q); !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	// All of it, page by page, both ways.
	for _, last := range []bool{false, true} {
		seen, at := 0, ""
		for {
			q := storage.Query{Max: 33, Last: last, After: at}
			if last {
				q.After, q.Before = "", at
			}
			p := page(t, ar, "o", q)
			seen += len(p.Items)
			if p.Complete {
				break
			}
			at = p.Items[len(p.Items)-1].ID
			if last {
				at = p.Items[0].ID
			}
		}
		equal(t, fmt.Sprintf("paged, last %v", last), seen, total-gone)
	}
}

// testArchiveTimes has bounds within one second, and items whose IDs run ahead of their times.
func testArchiveTimes(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	at := func(ns int) time.Time { return bgTime.Add(time.Duration(ns)) }
	for i, ns := range []int{0, 500, 1000, 1500, 1_000_000_000, 0, 1500, 2_000_000_000} {
		appendItem(t, ar, "o", at(ns), "", fmt.Sprint(i))
	}
	for _, test := range []struct {
		start, end time.Time
		want       string
	}{
		{at(500), at(1000), "1 2 "},
		{at(501), at(1499), "2 "},
		{at(1500), at(1500), "3 6 "},
		{at(0), at(0), "0 5 "},
		{at(1501), at(1_000_000_000), "4 "},
		{at(-5), at(-1), ""},
		{at(2_000_000_001), time.Time{}, ""},
		{time.Time{}, at(499), "0 5 "},
		{at(1000), at(500), ""},
	} {
		for _, last := range []bool{false, true} {
			p := page(t, ar, "o", storage.Query{Start: test.start, End: test.end, Last: last})
			equal(t, fmt.Sprintf("%v to %v, last %v", test.start, test.end, last), texts(p), test.want)
			equal(t, "total", p.Total, len(p.Items))
		}
	}
}

func testArchiveRemove(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	var ids []string
	for i := range 5 {
		ids = append(ids, appendItem(t, ar, "o", bgTime.Add(time.Duration(i)*time.Second), "w@x", fmt.Sprint(i)))
	}
	check(t, ar.Remove(t.Context(), "o"))
	check(t, ar.Remove(t.Context(), "o", ids[1], "unknown", ids[3], ids[1]))
	check(t, ar.Remove(t.Context(), "o", ids[1]))
	check(t, ar.Remove(t.Context(), "nobody", ids[0]))
	equal(t, "left", texts(page(t, ar, "o", storage.Query{})), "0 2 4 ")
	equal(t, "left by With", texts(page(t, ar, "o", storage.Query{With: "w@x"})), "0 2 4 ")
	equal(t, "from an ID that is gone", texts(page(t, ar, "o", storage.Query{After: ids[1]})), "2 4 ")
	equal(t, "to an ID that is gone", texts(page(t, ar, "o", storage.Query{Before: ids[3], Last: true})), "0 2 ")
	equal(t, "stat", stat(t, ar, "o"), "3/3")
	_, err := ar.Get(t.Context(), "o", ids[1])
	equal(t, "removed", err, storage.ErrNotFound)
}

func testArchiveExpire(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	const items = 600 // more than one portion
	var wg sync.WaitGroup
	for _, owner := range []string{"a", "b", ""} {
		wg.Go(func() {
			for i := range items {
				it := storage.Item{At: bgTime.Add(time.Duration(i) * time.Second), With: "w@x", Data: []byte("d")}
				if _, err := ar.Append(bg, owner, it); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	appendItem(t, ar, "a", bgTime, "w@x", "late") // its ID is above all the others'
	expire := func(owner string, at time.Time, want int) {
		t.Helper()
		n, err := ar.Expire(t.Context(), owner, at)
		check(t, err)
		equal(t, "expired", n, want)
	}
	expire("nobody", bgTime.AddDate(1, 0, 0), 0)
	expire("a", bgTime, 0)
	expire("a", bgTime.Add(500*time.Second), 501)
	expire("a", bgTime.Add(500*time.Second), 0)
	equal(t, "a", stat(t, ar, "a"), "100/100")
	equal(t, "b", stat(t, ar, "b"), "600/600")
	equal(t, "a by With", len(page(t, ar, "a", storage.Query{With: "w@x", Max: 1000}).Items), 100)
	p := page(t, ar, "a", storage.Query{Max: 1})
	equal(t, "oldest", p.Items[0].At, bgTime.Add(500*time.Second))
	expire("", bgTime.Add(550*time.Second), 50+550+550)
	equal(t, "a", stat(t, ar, "a"), "50/50")
	equal(t, "b", stat(t, ar, "b"), "50/50")
	equal(t, "without a name", stat(t, ar, ""), "50/50")
	expire("", bgTime.AddDate(1, 0, 0), 150)
	equal(t, "nothing left", len(page(t, ar, "b", storage.Query{}).Items), 0)
}

func testArchiveDrop(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	for i := range 20 {
		for _, o := range []string{"a", "ab", ""} {
			appendItem(t, ar, o, bgTime.Add(time.Duration(i)), "w@x", "d")
		}
	}
	check(t, ar.Drop(t.Context(), "a"))
	check(t, ar.Drop(t.Context(), "a"))
	equal(t, "dropped", stat(t, ar, "a"), "0/0")
	equal(t, "dropped", len(page(t, ar, "a", storage.Query{With: "w@x"}).Items), 0)
	equal(t, "kept", stat(t, ar, "ab"), "20/20")
	equal(t, "kept", stat(t, ar, ""), "20/20")
	appendItem(t, ar, "a", bgTime, "", "again")
	equal(t, "again", texts(page(t, ar, "a", storage.Query{})), "again ")
}

func testArchiveConcurrent(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	var (
		mu  sync.Mutex
		ids []string
	)
	each(16, func(i int) {
		own := ""
		for range 20 {
			id, err := ar.Append(bg, "o", storage.Item{Data: []byte("d")})
			if err != nil || id <= own {
				t.Errorf("%q after %q: %v", id, own, err)
				return
			}
			if _, err := ar.Get(bg, "o", id); err != nil {
				t.Errorf("own item: %v", err)
			}
			own = id
			mu.Lock()
			ids = append(ids, id)
			mu.Unlock()
		}
	})
	sort.Strings(ids)
	p := page(t, ar, "o", storage.Query{Max: 1000})
	equal(t, "items", len(p.Items), len(ids))
	for i, it := range p.Items {
		equal(t, "ID", it.ID, ids[i])
	}
	equal(t, "stat", stat(t, ar, "o"), "320/320")
}

// testArchiveBytes has items so large that a page holds fewer than asked for.
func testArchiveBytes(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	const size = storage.MaxPageBytes/2 - 100
	data := make([]byte, size)
	for i := range 5 {
		_, err := ar.Append(t.Context(), "o", storage.Item{At: bgTime.Add(time.Duration(i) * time.Second), Data: data})
		check(t, err)
	}
	for _, last := range []bool{false, true} {
		p := page(t, ar, "o", storage.Query{Last: last})
		if len(p.Items) != 2 || p.Complete || p.Total != 5 {
			t.Fatalf("got %d items, complete %v, total %d", len(p.Items), p.Complete, p.Total)
		}
		for _, most := range []int{1, 2*size - 1} {
			if p := page(t, ar, "o", storage.Query{Last: last, MaxBytes: most}); len(p.Items) != 1 || p.Complete {
				t.Fatalf("of %d bytes: %d items, complete %v", most, len(p.Items), p.Complete)
			}
		}
	}
	q := storage.Query{After: page(t, ar, "o", storage.Query{Max: 4, After: page(t, ar, "o", storage.Query{}).Items[1].ID}).Items[1].ID}
	p := page(t, ar, "o", q)
	if len(p.Items) != 1 || !p.Complete {
		t.Fatalf("last page: %d items, complete %v", len(p.Items), p.Complete)
	}
}

// testArchiveAll has entries of several owners in one transaction.
func testArchiveAll(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	entry := func(owner, data string) storage.Entry {
		return storage.Entry{Owner: owner, Item: storage.Item{At: bgTime, Data: []byte(data)}}
	}
	ids, err := ar.AppendAll(t.Context(), entry("a", "1"), entry("b", "2"), entry("a", "3"))
	check(t, err)
	equal(t, "IDs", len(ids), 3)
	equal(t, "a", texts(page(t, ar, "a", storage.Query{})), "1 3 ")
	equal(t, "b", texts(page(t, ar, "b", storage.Query{})), "2 ")
	for i, owner := range []string{"a", "b", "a"} {
		it, err := ar.Get(t.Context(), owner, ids[i])
		check(t, err)
		equal(t, "item", string(it.Data), fmt.Sprint(i+1))
	}
	if ids[2] <= ids[0] {
		t.Errorf("IDs of one owner: %v", ids)
	}
	equal(t, "stat", stat(t, ar, "a"), "2/2")
	ids, err = ar.AppendAll(t.Context())
	check(t, err)
	equal(t, "IDs of nothing", len(ids), 0)
	bad := entry("b", "4")
	bad.Item.With = string(make([]byte, storage.MaxKey+1))
	if _, err := ar.AppendAll(t.Context(), entry("a", "4"), bad); !errors.Is(err, storage.ErrLimit) {
		t.Errorf("an entry out of bounds: %v", err)
	}
	equal(t, "nothing of it", stat(t, ar, "a"), "2/2")
}

// testArchiveBounds has owners who may have so much and no more.
func testArchiveBounds(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	add := func(owner string, maxItems int, maxBytes int64, data string) {
		t.Helper()
		_, err := ar.AppendAll(t.Context(),
			storage.Entry{Owner: owner, Item: storage.Item{At: bgTime, With: "w@x", Data: []byte(data)}, MaxItems: maxItems, MaxBytes: maxBytes},
			storage.Entry{Owner: "other", Item: storage.Item{At: bgTime, With: "w@x", Data: []byte(data)}})
		check(t, err)
	}
	for i := range 10 {
		add("n", 3, 0, fmt.Sprint(i))
		add("size", 0, 12, fmt.Sprintf("%04d", i))
		add("none", 0, 0, fmt.Sprint(i))
	}
	equal(t, "by number", texts(page(t, ar, "n", storage.Query{})), "7 8 9 ")
	equal(t, "by number, of one", texts(page(t, ar, "n", storage.Query{With: "w@x"})), "7 8 9 ")
	equal(t, "stat", stat(t, ar, "n"), "3/3")
	equal(t, "by size", texts(page(t, ar, "size", storage.Query{})), "0007 0008 0009 ")
	equal(t, "without bounds", stat(t, ar, "none"), "10/10")
	equal(t, "the other of the transaction", stat(t, ar, "other"), "30/60")
	add("size", 0, 12, "larger than all that is allowed")
	equal(t, "the newest stays", texts(page(t, ar, "size", storage.Query{})), "larger than all that is allowed ")
	for i := range 200 {
		add("many", 0, 0, fmt.Sprint(i))
	}
	for range 4 { // a bound that was lowered
		add("many", 2, 0, "x")
	}
	equal(t, "after some entries", texts(page(t, ar, "many", storage.Query{})), "x x ")
	equal(t, "stat", stat(t, ar, "many"), "2/2")
}

// testArchiveResources asks for one Resource of a With.
func testArchiveResources(t *testing.T, s storage.Store) {
	ar := s.Bucket("b").Archive("ar")
	rs := []string{"", "a", "b", "a/b"}
	for i := range 700 { // more than is looked at once
		_, err := ar.Append(t.Context(), "o", storage.Item{At: bgTime.Add(time.Duration(i) * time.Second), With: "w@x", Resource: rs[i%4], Data: fmt.Appendf(nil, "%d", i)})
		check(t, err)
	}
	appendItem(t, ar, "o", bgTime.AddDate(1, 0, 0), "v@x", "another's")
	for i, r := range rs {
		p := page(t, ar, "o", storage.Query{With: "w@x", Resource: r, Max: 1000})
		want := 175
		if r == "" {
			want = 700
		}
		equal(t, "items with "+r, len(p.Items), want)
		for _, it := range p.Items {
			if r != "" && it.Resource != r || it.With != "w@x" {
				t.Fatalf("with %q: %+v", r, it)
			}
		}
		if r != "" {
			p = page(t, ar, "o", storage.Query{With: "w@x", Resource: r, Max: 2, Last: true})
			equal(t, "the last with "+r, texts(p), fmt.Sprintf("%d %d ", 692+i, 696+i))
			it, err := ar.Get(t.Context(), "o", p.Items[0].ID)
			check(t, err)
			equal(t, "Get", it.Resource, r)
		}
	}
	equal(t, "of nobody", len(page(t, ar, "o", storage.Query{With: "w@x", Resource: "c"}).Items), 0)
	equal(t, "of another", len(page(t, ar, "o", storage.Query{With: "v@x", Resource: "a"}).Items), 0)
}
