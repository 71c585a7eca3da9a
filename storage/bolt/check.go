package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/storage"
)

// The parts of bolt's file format that the checker reads: a page is a head (id 8, flags 2, count 2, overflow 4), the
// elements, and what they point to. All numbers are in the machine's order.
const (
	pageHead    = 16
	branchElem  = 16 // pos 4, ksize 4, pgid 8
	leafElem    = 16 // flags 4, pos 4, ksize 4, vsize 4
	bucketHead  = 16 // root 8, sequence 8
	flagBranch  = 0x01
	flagLeaf    = 0x02
	flagFree    = 0x10
	leafBucket  = 0x01
	boltMagic   = 0xED0CDAED
	boltVersion = 2
	metaSum     = 56 // the checksum's place in a meta page, after the head
	noFreelist  = ^uint64(0)
	maxRecords  = 20 // damaged records that are named; the others are counted
	maxDepth    = 200
)

// A checker reads a whole file without bolt, which trusts what it reads, and without trusting anything itself: every
// page is what it says, every key in order and within its parent's bounds, no page used twice, every bucket and record
// sound.
type checker struct {
	r        io.ReaderAt
	pageSize int
	root     uint64
	freelist uint64
	high     uint64 // the first page beyond those in use
	seen     []uint64

	pages     int
	damaged   int     // records
	records   []error // the first of them
	structure error   // the first found; it ends the check
}

// meta is a valid meta page.
type meta struct {
	pageSize                     int
	root, freelist, high, number uint64
}

func readMeta(r io.ReaderAt, off int64) (m meta, ok bool) {
	b := make([]byte, pageHead+metaSum+8)
	if _, err := r.ReadAt(b, off); err != nil {
		return m, false
	}
	b = b[pageHead:]
	n := binary.NativeEndian
	h := fnv.New64a()
	h.Write(b[:metaSum])
	if n.Uint32(b) != boltMagic || n.Uint32(b[4:]) != boltVersion || h.Sum64() != n.Uint64(b[metaSum:]) {
		return m, false
	}
	m = meta{int(n.Uint32(b[8:])), n.Uint64(b[16:]), n.Uint64(b[32:]), n.Uint64(b[40:]), n.Uint64(b[48:])}
	return m, m.pageSize >= 512 && m.pageSize <= 1<<24 && m.pageSize&(m.pageSize-1) == 0
}

// newChecker reads the meta pages of a file that nobody writes to, and refuses what is no database or cut short.
func newChecker(f *os.File) (*checker, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return checkerOf(f, fi.Size())
}

// checkerOf is newChecker for a file that may lie within another, such as an archive of more than it.
func checkerOf(f io.ReaderAt, have int64) (*checker, error) {
	const remedy = "; it was left as it is: put a backup in its place (doc/operating.md), or move it away to begin with an empty one"
	if have == 0 {
		return nil, fmt.Errorf("%w: it is empty%s", ErrFormat, remedy)
	}
	m, ok := readMeta(f, 0)
	sizes := []int{m.pageSize}
	if !ok {
		sizes = sizes[:0]
		for i := 10; i <= 24; i++ {
			sizes = append(sizes, 1<<i)
		}
	}
	for _, size := range sizes { // the newer of the two heads counts
		if m1, ok1 := readMeta(f, int64(size)); ok1 && m1.pageSize == size && (!ok || m1.number > m.number) {
			m, ok = m1, true
			break
		}
	}
	if !ok {
		return nil, fmt.Errorf("%w: it is another program's file, or its head is damaged%s", ErrFormat, remedy)
	}
	if need := int64(m.high) * int64(m.pageSize); m.high < 4 || m.high > 1<<48/uint64(m.pageSize) || have < need {
		return nil, fmt.Errorf("%w: it was cut short to %d bytes, at least %d are missing%s", ErrFormat, have, need-have, remedy)
	}
	c := &checker{r: f, pageSize: m.pageSize, root: m.root, freelist: m.freelist, high: m.high}
	if b, err := c.read(c.root, nil); err == nil && c.lookup(b, rootMeta) == nil {
		return nil, fmt.Errorf("%w: it is a bbolt file of another program%s", ErrFormat, remedy)
	}
	return c, nil
}

// run checks all; its error is the context's. What it found is in structure, records and damaged.
func (c *checker) run(ctx context.Context) error {
	c.seen = make([]uint64, c.high/64+1)
	c.pages, c.damaged, c.records, c.structure = 0, 0, nil, nil
	err := c.tree(ctx, c.root, nil, nil, nil, 0)
	if err == nil && c.freelist != noFreelist && c.freelist != 0 {
		err = c.free()
	}
	var bad *badPage
	if errors.As(err, &bad) {
		c.structure = fmt.Errorf("%w: %w", storage.ErrCorrupt, bad)
		err = nil
	}
	return err
}

// badPage is damage of the structure.
type badPage struct {
	id   uint64
	path [][]byte
	what string
}

func (b *badPage) Error() string {
	if len(b.path) == 0 {
		return fmt.Sprintf("page %d is damaged: %s", b.id, b.what)
	}
	return fmt.Sprintf("page %d, in bucket %s, is damaged: %s", b.id, pathText(b.path), b.what)
}

// page reads a page with what overflows it, for the first time.
func (c *checker) page(id uint64, path [][]byte) ([]byte, error) {
	b, err := c.read(id, path)
	if err != nil {
		return nil, err
	}
	for i := id; i < id+uint64(len(b)/c.pageSize); i++ {
		if c.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, &badPage{id, path, "it is used twice"}
		}
		c.seen[i/64] |= 1 << (i % 64)
		c.pages++
	}
	return b, nil
}

func (c *checker) read(id uint64, path [][]byte) ([]byte, error) {
	bad := func(what string) ([]byte, error) { return nil, &badPage{id, path, what} }
	if id < 2 || id >= c.high {
		return bad("it is beyond the end of the file")
	}
	b := make([]byte, c.pageSize)
	if _, err := c.r.ReadAt(b, int64(id)*int64(c.pageSize)); err != nil {
		return bad(err.Error())
	}
	n := binary.NativeEndian
	if got := n.Uint64(b); got != id {
		return bad(fmt.Sprintf("it says that it is page %d", got))
	}
	over := uint64(n.Uint32(b[12:]))
	if id+over >= c.high {
		return bad("it goes on beyond the end of the file")
	}
	if over > 0 {
		long := make([]byte, (over+1)*uint64(c.pageSize))
		copy(long, b)
		if _, err := c.r.ReadAt(long[len(b):], int64(id+1)*int64(c.pageSize)); err != nil {
			return bad(err.Error())
		}
		b = long
	}
	return b, nil
}

// tree checks a page and all below it; its keys must lie from lo up to before hi (nil: open).
func (c *checker) tree(ctx context.Context, id uint64, path [][]byte, lo, hi []byte, depth int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := c.page(id, path)
	if err != nil {
		return err
	}
	n := binary.NativeEndian
	switch n.Uint16(b[8:]) {
	case flagLeaf:
		return c.leaf(ctx, id, b, path, lo, hi, depth)
	case flagBranch:
		if depth > maxDepth {
			return &badPage{id, path, "it is nested too deeply"}
		}
	default:
		return &badPage{id, path, "it is of another kind"}
	}
	count := int(n.Uint16(b[10:]))
	if count == 0 {
		return &badPage{id, path, "it has no entries"}
	}
	keys := make([][]byte, count)
	for i := range keys {
		at := pageHead + i*branchElem
		if at+branchElem > len(b) {
			return &badPage{id, path, "it has too many entries"}
		}
		if keys[i], _, err = c.slot(b, at, n.Uint32(b[at:]), n.Uint32(b[at+4:]), 0); err != nil {
			return &badPage{id, path, err.Error()}
		}
		if err := order(keys, i, lo, hi); err != nil {
			return &badPage{id, path, err.Error()}
		}
	}
	for i, k := range keys {
		next := hi
		if i+1 < count {
			next = keys[i+1]
		}
		if err := c.tree(ctx, n.Uint64(b[pageHead+i*branchElem+8:]), path, k, next, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// slot returns the key and the value that an element at a place points to.
func (c *checker) slot(b []byte, at int, pos, ksize, vsize uint32) (k, v []byte, err error) {
	from := uint64(at) + uint64(pos)
	mid := from + uint64(ksize)
	end := mid + uint64(vsize)
	if end > uint64(len(b)) || ksize == 0 || ksize > bolt.MaxKeySize {
		return nil, nil, errors.New("an entry points outside of it")
	}
	return b[from:mid], b[mid:end], nil
}

func order(keys [][]byte, i int, lo, hi []byte) error {
	switch k := keys[i]; {
	case i > 0 && bytes.Compare(keys[i-1], k) >= 0,
		i == 0 && lo != nil && bytes.Compare(k, lo) < 0,
		hi != nil && bytes.Compare(k, hi) >= 0:
		return fmt.Errorf("key %q is out of order", short(k))
	}
	return nil
}

func (c *checker) leaf(ctx context.Context, id uint64, b []byte, path [][]byte, lo, hi []byte, depth int) error {
	if depth > maxDepth {
		return &badPage{id, path, "it is nested too deeply"}
	}
	n := binary.NativeEndian
	count := int(n.Uint16(b[10:]))
	keys := make([][]byte, count)
	for i := range keys {
		at := pageHead + i*leafElem
		if at+leafElem > len(b) {
			return &badPage{id, path, "it has too many entries"}
		}
		k, v, err := c.slot(b, at, n.Uint32(b[at+4:]), n.Uint32(b[at+8:]), n.Uint32(b[at+12:]))
		if err == nil {
			keys[i] = k
			err = order(keys, i, lo, hi)
		}
		if err != nil {
			return &badPage{id, path, err.Error()}
		}
		switch n.Uint32(b[at:]) {
		case 0:
			if _, ok := payload(k, v); !ok {
				c.damaged++
				if len(c.records) < maxRecords {
					c.records = append(c.records, damaged(path, k))
				}
			}
		case leafBucket:
			if err := c.bucket(ctx, id, k, v, path, depth); err != nil {
				return err
			}
		default:
			return &badPage{id, path, "an entry is of another kind"}
		}
	}
	return nil
}

// bucket checks a nested bucket, which has a tree of its own or is so small that its only page is the value itself.
func (c *checker) bucket(ctx context.Context, id uint64, name, v []byte, path [][]byte, depth int) error {
	path = append(path[:len(path):len(path)], name)
	if len(v) < bucketHead {
		return &badPage{id, path, "a bucket has no head"}
	}
	n := binary.NativeEndian
	root, seq := n.Uint64(v), n.Uint64(v[8:])
	if seq != bucketMark(name) {
		return &badPage{id, path, "the bucket is not what its name says"}
	}
	if root != 0 {
		return c.tree(ctx, root, path, nil, nil, depth+1)
	}
	if v = v[bucketHead:]; len(v) < pageHead || n.Uint16(v[8:]) != flagLeaf {
		return &badPage{id, path, "a small bucket has no entries"}
	}
	return c.leaf(ctx, id, v, path, nil, nil, depth+1)
}

// free checks that no page is both free and in use, which the next write would destroy.
func (c *checker) free() error {
	b, err := c.page(c.freelist, nil)
	if err != nil {
		return err
	}
	n := binary.NativeEndian
	bad := func(what string) error { return &badPage{c.freelist, nil, "in the list of free pages, " + what} }
	if n.Uint16(b[8:]) != flagFree {
		return bad("it is of another kind")
	}
	count, ids := uint64(n.Uint16(b[10:])), b[pageHead:]
	if count == 0xFFFF {
		count, ids = n.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return bad("it has too many entries")
	}
	for i := range count {
		id := n.Uint64(ids[i*8:])
		switch {
		case id < 2 || id >= c.high:
			return bad("an entry is beyond the end of the file")
		case c.seen[id/64]&(1<<(id%64)) != 0:
			return bad(fmt.Sprintf("page %d is there twice or in use", id))
		}
		c.seen[id/64] |= 1 << (id % 64)
	}
	return nil
}

// err sums up what a run found.
func (c *checker) err(path string) error {
	if c.structure != nil {
		return fmt.Errorf("storage: %s: %w", path, c.structure)
	}
	if c.damaged == 0 {
		return nil
	}
	return fmt.Errorf("storage: %s: %d damaged records: %w", path, c.damaged, errors.Join(c.records...))
}

// metaValue reads a value of the "meta" bucket, which lies within the root's only page.
func (c *checker) metaValue(key []byte) []byte {
	b, err := c.read(c.root, nil)
	n := binary.NativeEndian
	if err != nil || n.Uint16(b[8:]) != flagLeaf {
		return nil
	}
	v := c.lookup(b, rootMeta)
	if len(v) < bucketHead+pageHead || n.Uint64(v) != 0 || n.Uint64(v[8:]) != bucketMark(rootMeta) {
		return nil
	}
	p, ok := payload(key, c.lookup(v[bucketHead:], key))
	if !ok {
		return nil
	}
	return p
}

// wasClean says whether Close left its mark.
func (c *checker) wasClean() bool { return bytes.Equal(c.metaValue(keyState), stateClean) }

// lookup finds a key in a leaf.
func (c *checker) lookup(b, key []byte) []byte {
	n := binary.NativeEndian
	for i := range int(n.Uint16(b[10:])) {
		at := pageHead + i*leafElem
		if at+leafElem > len(b) {
			return nil
		}
		k, v, err := c.slot(b, at, n.Uint32(b[at+4:]), n.Uint32(b[at+8:]), n.Uint32(b[at+12:]))
		if err == nil && bytes.Equal(k, key) {
			return v
		}
	}
	return nil
}

// Verify reads one committed state as a whole. The pages that it would reuse meanwhile, the writer takes anew.
func (s *Store) Verify(ctx context.Context) error {
	if err := s.flushed(ctx); err != nil && !errors.Is(err, storage.ErrFull) && !errors.Is(err, storage.ErrReadOnly) {
		return err
	}
	return s.viewFile(func(tx *bolt.Tx) error {
		root := tx.Cursor().Bucket()
		c := &checker{
			r:        s.file,
			pageSize: s.db.Info().PageSize,
			root:     uint64(root.RootPage()),
			freelist: noFreelist, // it changes with every write
		}
		c.high = uint64(tx.Size()) / uint64(c.pageSize)
		if err := c.run(ctx); err != nil {
			return err
		}
		return c.err(s.path)
	})
}

// VerifyFile checks a file that no process has open, such as a backup, with the journals that lie beside it, and changes nothing.
func VerifyFile(ctx context.Context, path string) error {
	f, err := openNoFollow(path, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	defer f.Close()
	if !shareFile(f) {
		return fmt.Errorf("storage: %s is %w: only a server that has it open can verify it", path, ErrInUse)
	}
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if err := VerifyAt(ctx, f, fi.Size(), path); err != nil {
		return err
	}
	journals, err := readJournals(path)
	if err != nil || len(journals) == 0 {
		return err
	}
	c, err := newChecker(f)
	if err != nil {
		return fmt.Errorf("storage: %s: %w", path, err)
	}
	salt, moved := readMark(c.metaValue(keyJournal))
	use, err := fitting(path, journals, salt, moved)
	if err != nil {
		return err
	}
	for _, r := range use {
		if err := r.layer.err(); err != nil {
			return fmt.Errorf("storage: %s: %w", journalName(path, r.i), err)
		}
	}
	return nil
}

// VerifyAt is VerifyFile for what Backup wrote, wherever it is; name is what errors call it.
func VerifyAt(ctx context.Context, r io.ReaderAt, size int64, name string) error {
	c, err := checkerOf(r, size)
	if err != nil {
		return fmt.Errorf("storage: %s: %w", name, err)
	}
	if err := c.run(ctx); err != nil {
		return err
	}
	if err := c.err(name); err != nil {
		return err
	}
	n := c.metaValue(keyFormat)
	if len(n) != 4 {
		return fmt.Errorf("storage: %s: %w: it does not say its format", name, ErrFormat)
	}
	if n := binary.BigEndian.Uint32(n); n > uint32(current.number) {
		return fmt.Errorf("storage: %s: %w: it has format %d and this version reads up to %d", name, ErrFormat, n, current.number)
	}
	return nil
}
