package driver

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/xmppd/xmppd/storage"
)

// Base is the committed state that a transaction reads.
type Base interface {
	// CheckName refuses a KV that could not be written.
	CheckName(kv string) error
	// Get returns nil for a missing key.
	Get(kv string, key []byte) ([]byte, error)
	// Cursor walks the keys of a KV that have a prefix, in order; others may follow. It returns nil where the KV does not exist.
	Cursor(kv string, prefix []byte) Cursor
}

// Cursor walks a KV. No key means the end; an error with a key, that this one value is damaged and the walk can go on.
type Cursor interface {
	Seek(key []byte) (k, v []byte, err error)
	Next() (k, v []byte, err error)
}

// Tx is a transaction: reads go through its own pending writes to the base. Nothing reaches the base before Each, so
// that an operation that fails half-way has changed nothing, and others of the same commit go on.
type Tx struct {
	base     Base
	writable bool
	ended    bool
	kvs      map[string]*txKV
	order    []*txKV
}

// NewTx begins a transaction over a base.
func NewTx(base Base, writable bool) *Tx {
	return &Tx{base: base, writable: writable}
}

// KV returns a KV of the transaction.
func (t *Tx) KV(name string) storage.TxKV {
	k := t.kvs[name]
	if k == nil {
		k = &txKV{tx: t, name: name}
		if t.kvs == nil {
			t.kvs = make(map[string]*txKV)
		}
		t.kvs[name] = k
		t.order = append(t.order, k)
	}
	return k
}

// End makes every later use of the transaction fail.
func (t *Tx) End() { t.ended = true }

// Each hands out the pending writes: a nil value is a deletion.
func (t *Tx) Each(fn func(kv string, key, value []byte) error) error {
	for _, k := range t.order {
		for key, value := range k.writes.All() {
			if err := fn(k.name, []byte(key), value); err != nil {
				return err
			}
		}
	}
	return nil
}

type txKV struct {
	tx     *Tx
	name   string
	writes Map[[]byte] // nil: deleted
}

var errEnded = fmt.Errorf("%w: it has ended", storage.ErrTx)

func (k *txKV) Get(key []byte) ([]byte, error) {
	if k.tx.ended {
		return nil, errEnded
	}
	if err := CheckKey(key); err != nil {
		return nil, err
	}
	if k.writes.n > 0 {
		if v, ok := k.writes.Get(string(key)); ok {
			return v, nil
		}
	}
	return k.tx.base.Get(k.name, key)
}

func (k *txKV) write(key, value []byte) error {
	switch {
	case k.tx.ended:
		return errEnded
	case !k.tx.writable:
		return fmt.Errorf("%w: a view does not write", storage.ErrTx)
	}
	if err := CheckKey(key); err != nil {
		return err
	}
	if k.writes.n == 0 {
		if err := k.tx.base.CheckName(k.name); err != nil {
			return err
		}
	}
	k.writes.Set(string(key), value)
	return nil
}

func (k *txKV) Put(key, value []byte) error {
	if err := CheckValue(len(value)); err != nil {
		return err
	}
	return k.write(key, append([]byte{}, value...))
}

func (k *txKV) Delete(key []byte) error { return k.write(key, nil) }

func (k *txKV) Scan(prefix, from []byte, fn func(key, value []byte) bool) error {
	if k.tx.ended {
		return errEnded
	}
	start := prefix
	if bytes.Compare(from, prefix) > 0 {
		start = from
	}
	var (
		bk, bv []byte
		berr   error
		damage error // the first
		cur    = k.tx.base.Cursor(k.name, prefix)
		at     = string(start)
		after  = false
	)
	if cur != nil {
		bk, bv, berr = cur.Seek(start)
	}
	if !k.tx.writable { // nothing pending, ever
		for ; bk != nil && bytes.HasPrefix(bk, prefix); bk, bv, berr = cur.Next() {
			if berr != nil {
				damage = cmp.Or(damage, berr)
			} else if !fn(bk, bv) {
				return damage
			}
		}
		if bk == nil {
			return errors.Join(damage, berr)
		}
		return damage
	}
	for {
		if bk == nil && berr != nil {
			return errors.Join(damage, berr) // the walk itself is broken off
		}
		wk, wv, pending := k.writes.Ceil(at, after)
		fromBase := bk != nil && (!pending || string(bk) < wk)
		if !fromBase && !pending {
			return damage
		}
		var key, value []byte
		if fromBase {
			key, value = bk, bv
			if berr != nil && damage == nil && bytes.HasPrefix(key, prefix) {
				damage = berr
			}
			at = string(bk)
		} else {
			key, value = []byte(wk), wv
			at = wk
		}
		after = true
		if !strings.HasPrefix(at, string(prefix)) {
			return damage
		}
		sound := value != nil && !(fromBase && berr != nil)
		if sound && !fn(key, value) {
			return damage
		}
		if k.tx.ended {
			return errEnded
		}
		for bk != nil && string(bk) <= at {
			bk, bv, berr = cur.Next()
		}
	}
}
