package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// onWriter runs fn on the writer's goroutine, when all before it is done.
func onWriter(t testing.TB, s *Store, fn func()) {
	t.Helper()
	done := errors.New("done")
	o := &op{run: func(*writeTx) error { fn(); return done }}
	if err := s.do(t.Context(), o); err != done {
		t.Fatal(err)
	}
}

// stall keeps checkpoints from getting anywhere until the returned function is called, or the test has failed: Close waits for them.
func stall(t testing.TB, s *Store) (release func()) {
	t.Helper()
	tx, err := s.db.Begin(true)
	check(t, err)
	t.Cleanup(func() { tx.Rollback() })
	return func() { check(t, tx.Rollback()) }
}

// files are the database and its journals.
func files(path string) []string { return append([]string{path}, Journals(path)...) }

// content reads a database and those of its journals that are there.
func content(t testing.TB, path string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for _, name := range files(path) {
		b, err := os.ReadFile(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		check(t, err)
		all[strings.TrimPrefix(name, path)] = b
	}
	return all
}

// lay writes what content read, into a directory of its own.
func lay(t testing.TB, all map[string][]byte) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "x.db")
	for end, b := range all {
		check(t, os.WriteFile(path+end, b, 0o600))
	}
	return path
}

// image is what a crash would leave of an open store.
func image(t testing.TB, s *Store) (all map[string][]byte) {
	t.Helper()
	onWriter(t, s, func() { all = content(t, s.path) })
	return all
}

// changed returns a copy in which one file is another one; nil: gone.
func changed(all map[string][]byte, end string, b []byte) map[string][]byte {
	all = maps.Clone(all)
	if all[end] = b; b == nil {
		delete(all, end)
	}
	return all
}

// flipped returns a copy with a byte that differs.
func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 0x55
	return b
}

// groupsAt returns where a journal's groups begin, and where the last ends.
func groupsAt(t testing.TB, b []byte) []int64 {
	t.Helper()
	r, err := parseJournal(b)
	check(t, err)
	at := []int64{journalHead}
	for i := range r.groups {
		body, ok := r.group(b[at[i]:], i)
		if !ok {
			t.Fatal("no group")
		}
		at = append(at, at[i]+groupHead+int64(len(body)))
	}
	return at
}

func putN(t testing.TB, s *Store, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		check(t, s.Bucket("b").KV("kv").Put(t.Context(), fmt.Appendf(nil, "k%d", i), fmt.Appendf(nil, "v%d", i)))
	}
}

// hasN expects the first n of what putN wrote, and no more.
func hasN(t testing.TB, s *Store, n int) {
	t.Helper()
	for i := range n + 3 {
		v, err := s.Bucket("b").KV("kv").Get(t.Context(), fmt.Appendf(nil, "k%d", i))
		if i < n && (err != nil || string(v) != fmt.Sprintf("v%d", i)) || i >= n && err != storage.ErrNotFound {
			t.Fatalf("k%d of %d: %q, %v", i, n, v, err)
		}
	}
}

// opens expects n to be there after opening, and more to be written.
func opens(t testing.TB, all map[string][]byte, n int) {
	t.Helper()
	path := lay(t, all)
	check(t, VerifyFile(t.Context(), path))
	for range 2 {
		s := openAt(t, path, Options{noSync: true})
		hasN(t, s, n)
		putN(t, s, n, n+1)
		n++
		check(t, s.Verify(t.Context()))
		check(t, s.Close())
		if name, err := journalsBeside(path); name != "" || err != nil {
			t.Fatalf("after Close there is %s, %v", name, err)
		}
	}
}

// refuses expects Open and VerifyFile to refuse a database with its journals, in these words, and to change nothing.
func refuses(t testing.TB, path string, want error, words ...string) {
	t.Helper()
	before := content(t, path)
	s, err := Open(path, Options{Timeout: time.Millisecond, noSync: true})
	if err == nil {
		s.Close()
		t.Fatal("opened")
	}
	errs := []error{err}
	if _, ok := before[""]; ok {
		errs = append(errs, VerifyFile(t.Context(), path))
	}
	for i, err := range errs {
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Fatalf("answer %d: got %v, want %v", i, err, want)
		}
		for _, w := range append(words, path) {
			if !strings.Contains(err.Error(), w) {
				t.Fatalf("answer %d: %q does not say %q", i, err, w)
			}
		}
		if strings.Contains(err.Error(), "\n") {
			t.Fatalf("answer %d: more than one line: %q", i, err)
		}
	}
	if !maps.EqualFunc(before, content(t, path), bytes.Equal) {
		t.Fatal("something was changed")
	}
}

// TestJournalTorn cuts a journal off in its last group, or changes that: what was being written when the machine stopped was not
// acknowledged. Before that, what does not fit was damaged since.
func TestJournalTorn(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	const n = 5
	putN(t, s, 0, n)
	all := image(t, s)
	const end = ".journal2" // where the first goes
	b := all[end]
	at := groupsAt(t, b)
	if len(at) != n+1 {
		t.Fatalf("%d groups", len(at)-1)
	}
	opens(t, all, n)
	last, ends := int(at[n-1]), int(at[n])
	step := 1
	if testing.Short() {
		step = 7
	}
	for i := last; i < ends; i += step {
		zeros := bytes.Clone(b)
		clear(zeros[i:])
		for what, torn := range map[string][]byte{"cut": b[:i], "zeros from": zeros, "changed": flipped(b, i)} {
			t.Run(fmt.Sprintf("%s byte %d of %d", what, i-last, ends-last), func(t *testing.T) { opens(t, changed(all, end, torn), n-1) })
		}
	}
	for i := 0; i < last; i += 3 * step {
		t.Run(fmt.Sprintf("damaged byte %d", i), func(t *testing.T) {
			refuses(t, lay(t, changed(all, end, flipped(b, i))), storage.ErrCorrupt, end, "away")
		})
	}
	zeros := bytes.Clone(b)
	clear(zeros[:journalHead])
	refuses(t, lay(t, changed(all, end, zeros)), storage.ErrCorrupt, end, "away")
	clear(zeros[:at[1]]) // the first group with it
	refuses(t, lay(t, changed(all, end, zeros)), storage.ErrCorrupt, end, "away")
}

// TestJournals leaves two journals, as a crash during a checkpoint does, or one after it, and takes things away.
func TestJournals(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	release := stall(t, s)
	putN(t, s, 0, 3)
	onWriter(t, s, func() {
		check(t, s.freeze())
		s.apply()
	})
	begun := image(t, s)
	putN(t, s, 3, 5)
	both := image(t, s)
	hasN(t, s, 5)
	onWriter(t, s, func() { // so that nobody else takes what the checkpoint answers
		release()
		check(t, s.settle(<-s.applied))
	})
	moved := image(t, s) // and the first journal was not used again yet
	hasN(t, s, 5)
	const first, second = ".journal2", ".journal1"
	at := groupsAt(t, both[first])

	t.Run("begun", func(t *testing.T) { opens(t, begun, 3) })
	t.Run("begun, with the head not on disk", func(t *testing.T) {
		opens(t, changed(begun, second, make([]byte, journalStep)), 3)
		opens(t, changed(begun, second, flipped(begun[second], 20)), 3)
		opens(t, changed(begun, second, nil), 3)
	})
	t.Run("both", func(t *testing.T) { opens(t, both, 5) })
	t.Run("moved", func(t *testing.T) { opens(t, moved, 5) })
	t.Run("moved, without what was", func(t *testing.T) {
		opens(t, changed(moved, first, nil), 5)
		opens(t, changed(moved, first, flipped(moved[first], 20)), 5)
	})
	t.Run("opened twice", func(t *testing.T) { // the second finds what the first left when it crashed
		path := lay(t, both)
		s := openAt(t, path, Options{noSync: true})
		putN(t, s, 5, 6)
		opens(t, image(t, s), 6)
	})

	other := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	putN(t, other, 0, 3)
	theirs := image(t, other)
	for name, c := range map[string]struct {
		all   map[string][]byte
		want  error
		words []string
	}{
		"first is missing":             {changed(both, first, nil), errStray, []string{second, "missing"}},
		"first lost its last group":    {changed(both, first, both[first][:at[2]]), errStray, []string{second, "missing or damaged"}},
		"first lost its head":          {changed(both, first, flipped(both[first], 20)), storage.ErrCorrupt, []string{first, "head"}},
		"second lost its head":         {changed(both, second, flipped(both[second], 20)), storage.ErrCorrupt, []string{second, "head"}},
		"second lost its head, moved":  {changed(moved, second, flipped(moved[second], 20)), storage.ErrCorrupt, []string{second, "head"}},
		"names are changed":            {changed(changed(both, first, both[second]), second, both[first]), errStray, []string{"other one's name"}},
		"the database is missing":      {changed(both, "", nil), errStray, []string{"is missing"}},
		"the database is another's":    {changed(both, "", theirs[""]), errStray, []string{"another database"}},
		"the database is older":        {changed(moved, "", begun[""]), nil, nil}, // with all that it lacks
		"the database is older, first": {changed(changed(moved, "", begun[""]), first, nil), errStray, []string{second, "missing"}},
		"a journal is another's":       {changed(both, first, theirs[first]), errStray, []string{first, "another database"}},
		"a moved one is another's":     {changed(moved, first, theirs[first]), errStray, []string{first, "another database"}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.words == nil {
				opens(t, c.all, 5)
				return
			}
			refuses(t, lay(t, c.all), c.want, c.words...)
		})
	}
	for name, c := range map[string]struct {
		spoil func(name string) error
		words []string
	}{
		"mode": {func(name string) error { return os.Chmod(name, 0o644) }, []string{"0644", "chmod 600"}},
		"link": {func(name string) error {
			return errors.Join(os.Rename(name, name+".real"), os.Symlink(name+".real", name))
		}, []string{"symbolic link"}},
		"directory": {func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) }, []string{"directory"}},
	} {
		for _, end := range []string{first, second} {
			t.Run(name+" of "+end, func(t *testing.T) {
				path := lay(t, both)
				check(t, c.spoil(path+end))
				if name == "directory" {
					_, err := Open(path, Options{})
					if err == nil || !strings.Contains(err.Error(), path+end) || !strings.Contains(err.Error(), "directory") {
						t.Errorf("got %v", err)
					}
					return
				}
				refuses(t, path, nil, append(c.words, path+end)...)
			})
		}
	}
}

// TestJournalMigrated: a migration finds in the file what a crash left in the journals.
func TestJournalMigrated(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	putN(t, s, 0, 1)
	path := lay(t, image(t, s))
	ran := false
	m, err := openFormat(path, Options{noSync: true}, format{number: current.number + 1, steps: map[int]func(w *fileTx) error{current.number: func(w *fileTx) error {
		ran = true
		b, err := open(w, steps([]string{"b"}, kindKV, "kv"))
		if err == nil && (b == nil || b.Get([]byte("k0")) == nil) {
			err = errors.New("it is not there yet")
		}
		return err
	}}})
	check(t, err)
	hasN(t, m, 1)
	check(t, m.Close())
	if !ran {
		t.Error("nothing was migrated")
	}
}

// TestJournalNotMade: where the journal's files can not be made nothing is written, and when they can, it goes on.
func TestJournalNotMade(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{noSync: true})
	for _, name := range Journals(path) {
		check(t, os.Mkdir(name, 0o700))
		err := s.Bucket("b").KV("kv").Put(t.Context(), []byte("k0"), []byte("v0"))
		if !errors.Is(err, storage.ErrReadOnly) || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v", err)
		}
		check(t, os.Remove(name))
	}
	putN(t, s, 0, 1)
	check(t, s.Close())
	opens(t, content(t, path), 1)
}

// TestJournalNoRoom opens where what the journals have does not fit into the file: it stays there, is served, and deletions go on.
func TestJournalNoRoom(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	kv := s.Bucket("large").KV("kv")
	large := bytes.Repeat([]byte("large"), 100_000)
	for _, k := range []string{"1", "2", "3"} {
		check(t, kv.Put(t.Context(), []byte(k), large))
	}
	one := image(t, s)
	release := stall(t, s)
	onWriter(t, s, func() {
		check(t, s.freeze())
		s.apply()
	})
	check(t, kv.Put(t.Context(), []byte("4"), large))
	two := image(t, s)
	release()
	for n, all := range map[int]map[string][]byte{3: one, 4: two} {
		path := lay(t, all)
		small := Options{noSync: true, MaxSize: 64 << 10, InitialMmapSize: 1 << 15, CheckBudget: -1}
		for gone := range 2 {
			s := openAt(t, path, small)
			kv := s.Bucket("large").KV("kv")
			for i := range n {
				v, err := kv.Get(t.Context(), fmt.Appendf(nil, "%d", i+1))
				if i < gone && err != storage.ErrNotFound || i >= gone && (err != nil || !bytes.Equal(v, large)) {
					t.Errorf("%d: %d bytes, %v", i+1, len(v), err)
				}
			}
			if err := kv.Put(t.Context(), []byte("k"), large); !errors.Is(err, storage.ErrFull) {
				t.Errorf("Put: %v", err)
			}
			check(t, kv.Delete(t.Context(), fmt.Appendf(nil, "%d", gone+1)))
			if gone == 1 {
				check(t, s.Close())
				if name, err := journalsBeside(path); name == "" || err != nil {
					t.Errorf("after Close the journals are gone: %v", err)
				}
				break
			}
			path = lay(t, image(t, s))
		}
		s := openAt(t, path, Options{noSync: true})
		got := 0
		check(t, s.Bucket("large").KV("kv").Scan(t.Context(), nil, nil, func(k, v []byte) bool {
			got++
			return k[0] > '2' && bytes.Equal(v, large)
		}))
		if got != n-2 {
			t.Errorf("%d of %d are left", got, n-2)
		}
	}
}

// TestRestoreBeside: journals beside the place of a database are of the one that was there.
func TestRestoreBeside(t *testing.T) {
	whole := read(t, made(t))
	for i := range 2 {
		path := filepath.Join(t.TempDir(), "x.db")
		name := journalName(path, i)
		check(t, os.WriteFile(name, nil, 0o600))
		err := Restore(t.Context(), path, bytes.NewReader(whole), nil)
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("got %v", err)
		}
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the database: %v", err)
		}
		check(t, os.Remove(name))
		// What looks at it, and does not close it well, would leave something behind.
		err = Restore(t.Context(), path, bytes.NewReader(whole), func(tmp string) error {
			s := openAt(t, tmp, Options{noSync: true})
			putN(t, s, 0, 1)
			s.w.broken.Store(&errNoMark)
			return s.Close()
		})
		if !errors.Is(err, storage.ErrFull) {
			t.Errorf("not closed well: %v", err)
		}
		check(t, Restore(t.Context(), path, bytes.NewReader(whole), nil))
		if left, _ := filepath.Glob(path + "*"); len(left) != 2 {
			t.Errorf("there is %v", left)
		}
	}
}

// memoryDisk is a journal's file without a disk.
type memoryDisk struct{ b []byte }

func (d *memoryDisk) WriteAt(b []byte, off int64) (int, error) {
	if end := int(off) + len(b); end > len(d.b) {
		d.b = append(d.b, make([]byte, end-len(d.b))...)
	}
	return copy(d.b[off:], b), nil
}

func (d *memoryDisk) Truncate(size int64) error { d.b = d.b[:size]; return nil }
func (d *memoryDisk) Close() error              { return nil }

// text writes a layer for comparing.
func (l *layer) text() string {
	var b strings.Builder
	for _, id := range l.ids() {
		t := l.tables[id]
		fmt.Fprintf(&b, "%q %v:", t.in, t.cleared)
		for key, c := range t.m.All() {
			fmt.Fprintf(&b, " %q=%q,%v", key, c.rec, c.rec == nil)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// FuzzJournal reads anything as a journal. Of a sound one with a byte that is another nothing is read but what was written, up to
// some group.
func FuzzJournal(f *testing.F) {
	f.Add([]byte("P1aP2bF1aD1c.D1a.P3cC3bP3dF2cP1d.C1x"), uint16(40), byte(1), []byte(journalMagic))
	f.Add([]byte("P1a.P2b"), uint16(0), byte(0), make([]byte, 100))
	f.Add([]byte{}, uint16(9), byte(9), []byte{})
	f.Fuzz(func(t *testing.T, words []byte, at uint16, mask byte, raw []byte) {
		newLayer().replay(raw)
		if r, err := parseJournal(raw); err == nil && r != nil && r.wild != nil {
			r.unused(1, 2)
		}
		parseJournal(append(bytes.Clone(raw), make([]byte, 64)...))

		var disks [2]memoryDisk
		j := journal{salt: 7, number: 4, groups: 3, sync: func(*journalFile) error { return nil }}
		for i := range disks {
			disks[i].b = make([]byte, journalStep)
			j.files[i] = &journalFile{disk: &disks[i], size: journalStep}
		}
		check(t, j.begin())
		states := []string{""}
		all := newLayer()
		for group := range bytes.SplitSeq(words, []byte(".")) {
			c := changes{newLayer(), make([]byte, groupHead)}
			for len(group) >= 3 {
				in := [][]byte{rootData, {group[1]%4 + 'a'}, {group[1]}}[:2+group[1]%2]
				id, key := tableID(in), group[2:3]
				switch group[0] {
				default:
					c.set(id, in, key, record(key, group), false)
				case 'D':
					c.set(id, in, key, nil, false)
				case 'C':
					c.drop(id, in)
				case 'F': // what failed
					n, text := len(c.log), c.text()
					c.set(id, in, key, record(key, group), false)
					c.drop(id, in)
					if c.back(n); c.text() != text {
						t.Fatalf("taken back to\n%swant\n%s", c.text(), text)
					}
				}
				group = group[3:]
			}
			if len(c.log) == groupHead {
				continue
			}
			check(t, j.append(bytes.Clone(c.log)))
			all.merge(c.layer)
			states = append(states, all.text())
		}
		b := disks[j.number%2].b
		r, err := parseJournal(b)
		if err != nil || r.wild != nil || r.salt != 7 || r.number != 5 || r.before != 3 || int(r.groups) != len(states)-1 || r.layer.text() != states[r.groups] {
			t.Fatalf("a sound one: %v", err)
		}
		b[int(at)%len(b)] ^= mask
		r, err = parseJournal(b)
		switch {
		case err != nil && !errors.Is(err, storage.ErrCorrupt):
			t.Fatal(err)
		case err == nil && r.wild != nil && mask == 0:
			t.Fatal("its head is none")
		case err == nil && r.wild != nil && len(states) > 1:
			r.salt, r.number = 0, 0
			if err := r.unused(7, 4); !errors.Is(err, storage.ErrCorrupt) {
				t.Fatalf("what was acknowledged is not found without its head: %v", err)
			}
		case err == nil && r.wild == nil && (int(r.groups) >= len(states) || int(r.groups) < len(states)-2 || r.layer.text() != states[r.groups]):
			t.Fatalf("read\n%sof\n%s", r.layer.text(), states[min(int(r.groups), len(states)-1)])
		}
	})
}

// TestJournalReused leaves a journal of another use behind a short one.
func TestJournalReused(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	putN(t, s, 0, 40)
	check(t, s.flushed(t.Context()))
	putN(t, s, 40, 41)
	check(t, s.flushed(t.Context())) // the next is written over the first
	putN(t, s, 41, 42)
	all := image(t, s)
	if !slices.ContainsFunc(Journals(""), func(end string) bool {
		return bytes.Contains(all[end], []byte("v39")) && bytes.Contains(all[end], []byte("v41"))
	}) {
		t.Fatal("no journal was used twice")
	}
	opens(t, all, 42)
}
