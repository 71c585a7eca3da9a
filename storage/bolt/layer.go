package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/storage/internal/driver"
)

// A layer is what was written since a layer below it, or the file, was made: for each bucket of the file a table of the
// keys that changed. Reading goes through the layers from the newest to the oldest, and then to the file.
type layer struct {
	tables map[string]*table // by tableID
	bytes  int               // of keys and records, written over ones included
	clears bool              // some tables are cleared
}

// table is what a layer has of one bucket.
type table struct {
	in      [][]byte         // the bucket's names, from the root
	cleared bool             // what is below, in older layers and in the file, is gone
	m       driver.Map[cell] // by key
	number  int              // in the journal's record that the layer comes from
	gone    uint64           // an archive's items up to this ID are known to be gone: 0, nothing is known
}

// cell is what a table has of a key.
type cell struct {
	rec   []byte // nil: deleted
	fresh bool   // below there is nothing of it: once it is deleted, nobody need remember
}

func newLayer() *layer { return &layer{tables: map[string]*table{}} }

// tableID makes one name of a bucket's names. The first one is rootData always.
func tableID(in [][]byte) string {
	n := 4
	for _, name := range in[1:] {
		n += len(name)
	}
	id := binary.BigEndian.AppendUint32(make([]byte, 0, n), uint32(len(in[1])))
	for _, name := range in[1:] {
		id = append(id, name...)
	}
	return string(id)
}

// table finds or makes a bucket's table; made tells which.
func (l *layer) table(id string, in [][]byte) (t *table, made bool) {
	if t = l.tables[id]; t != nil {
		return t, false
	}
	t = &table{in: in, number: len(l.tables)}
	l.tables[id] = t
	return t, true
}

// below tells whether a bucket is the one with these names, or lies in it.
func below(in, names [][]byte) bool {
	return len(in) >= len(names) && slices.EqualFunc(in[:len(names)], names, bytes.Equal)
}

// clear empties a bucket and those in it.
func (l *layer) clear(id string, in [][]byte) {
	for _, t := range l.tables {
		if below(t.in, in) {
			t.m, t.cleared, t.gone = driver.Map[cell]{}, true, 0 // IDs may begin anew
		}
	}
	t, _ := l.table(id, in)
	t.cleared, l.clears = true, true
}

// hides tells whether a layer says of a bucket that nothing below counts.
func (l *layer) hides(t *table, in [][]byte) bool {
	if !l.clears {
		return false
	}
	if t != nil && t.cleared {
		return true
	}
	if len(in) > 2 {
		up := l.tables[tableID(in[:2])]
		return up != nil && up.cleared
	}
	return false
}

// merge adds a newer layer, which nobody uses any more.
func (l *layer) merge(n *layer) {
	if n.clears {
		for _, id := range n.ids() { // a bucket before those in it
			if t := n.tables[id]; t.cleared {
				l.clear(id, t.in)
			}
		}
	}
	for id, t := range n.tables {
		if into := l.tables[id]; into == nil {
			l.tables[id] = t
		} else {
			for key, c := range t.m.All() {
				if c.rec == nil && c.fresh {
					into.m.Delete(key)
				} else {
					into.m.Set(key, c)
				}
			}
			into.gone = max(into.gone, t.gone)
		}
	}
	l.bytes += n.bytes
}

// ids are the layer's tables, a bucket before those in it.
func (l *layer) ids() []string {
	return slices.SortedFunc(maps.Keys(l.tables), func(a, b string) int {
		if n := len(l.tables[a].in) - len(l.tables[b].in); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
}

// The changes of a layer in the order in which they were made, as they stand in the journal:
//
//	'B' number of names, and for each its length and itself: the next bucket; they are counted from 0
//	'P' bucket, length, key, length, record
//	'D' bucket, length, key
//	'C' bucket
//
// All numbers are unsigned varints.
const (
	changeBucket = 'B'
	changePut    = 'P'
	changeDelete = 'D'
	changeClear  = 'C'
)

// changes makes a layer and writes down what was done, behind what the journal puts before it.
type changes struct {
	*layer
	log []byte // from groupHead on
}

func (c *changes) open(id string, in [][]byte) *table {
	t, made := c.table(id, in)
	if made {
		c.log = binary.AppendUvarint(append(c.log, changeBucket), uint64(len(in)))
		for _, name := range in {
			c.log = appendBytes(c.log, name)
		}
	}
	return t
}

// set puts a record, which must not change from then on, or deletes where it is nil.
func (c *changes) set(id string, in [][]byte, key, rec []byte, fresh bool) {
	t := c.open(id, in)
	if rec == nil {
		c.log = binary.AppendUvarint(append(c.log, changeDelete), uint64(t.number))
		c.log = appendBytes(c.log, key)
	} else {
		c.log = binary.AppendUvarint(append(c.log, changePut), uint64(t.number))
		c.log = appendBytes(appendBytes(c.log, key), rec)
	}
	t.m.Set(string(key), cell{rec, fresh})
	c.bytes += len(key) + len(rec)
}

// drop clears a bucket and those in it.
func (c *changes) drop(id string, in [][]byte) {
	t := c.open(id, in)
	c.log = binary.AppendUvarint(append(c.log, changeClear), uint64(t.number))
	c.clear(id, in)
}

// back undoes what was done since the log had n bytes.
func (c *changes) back(n int) {
	if n == len(c.log) {
		return
	}
	c.layer = newLayer()
	c.log = c.log[:n]
	if err := c.layer.replay(bytes.Clone(c.log[groupHead:])); err != nil {
		panic(err) // its own words
	}
}

// err tells of records that are damaged, as they were when they were written.
func (l *layer) err() error {
	for _, t := range l.tables {
		for key, c := range t.m.All() {
			if _, ok := payload([]byte(key), c.rec); c.rec != nil && !ok {
				return damaged(t.in, []byte(key))
			}
		}
	}
	return nil
}

// puts tells whether something is written, and not only deleted.
func (t *table) puts() bool {
	for _, c := range t.m.All() {
		if c.rec != nil {
			return true
		}
	}
	return false
}

var errChanges = errors.New("not a list of changes")

// replay does what is written in b, and keeps parts of it.
func (l *layer) replay(b []byte) error {
	var (
		ids  []string
		bad  bool
		next = func() (n int) {
			v, size := binary.Uvarint(b)
			if bad = bad || size <= 0 || v > math.MaxInt32; bad {
				return 0
			}
			b = b[size:]
			return int(v)
		}
		text = func() (p []byte) {
			if n := next(); bad || n > len(b) {
				bad = true
			} else {
				p, b = b[:n:n], b[n:]
			}
			return p
		}
		bucket = func() (id string, t *table) {
			n := next()
			if bad = bad || n >= len(ids); bad {
				return "", nil
			}
			return ids[n], l.tables[ids[n]]
		}
	)
	for len(b) > 0 {
		kind := b[0]
		b = b[1:]
		switch kind {
		case changeBucket:
			n := next()
			if bad || n < 2 || n > 3 {
				return errChanges
			}
			in := make([][]byte, n)
			for i := range in {
				in[i] = text()
			}
			if bad || !bytes.Equal(in[0], rootData) {
				return errChanges
			}
			id := tableID(in)
			l.table(id, in)
			ids = append(ids, id)
		case changePut:
			_, t := bucket()
			key, rec := text(), text()
			if bad || len(key) == 0 {
				return errChanges
			}
			t.m.Set(string(key), cell{rec: rec})
			l.bytes += len(key) + len(rec)
		case changeDelete:
			_, t := bucket()
			key := text()
			if bad || len(key) == 0 {
				return errChanges
			}
			t.m.Set(string(key), cell{})
			l.bytes += len(key)
		case changeClear:
			id, t := bucket()
			if bad {
				return errChanges
			}
			l.clear(id, t.in)
		default:
			return errChanges
		}
	}
	return nil
}

func appendBytes(b, p []byte) []byte { return append(binary.AppendUvarint(b, uint64(len(p))), p...) }
