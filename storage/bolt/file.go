package bolt

import (
	"errors"

	bolt "go.etcd.io/bbolt"
)

// fileTx is a transaction that changes the file itself: a checkpoint's, or a migration's.
type fileTx struct {
	*bolt.Tx
	dirty bool
}

// errClean ends a transaction that changed nothing.
var errClean = errors.New("nothing to write")

// update runs one bolt transaction. It returns nil when fn's changes are on disk, or fn's error, or what became of the
// store: ErrFull, or ErrReadOnly from then on.
func (s *Store) update(fn func(w *fileTx) error) error {
	var fnErr error
	panicked := true
	err := guard(func() error {
		err := s.db.Update(func(tx *bolt.Tx) error {
			w := &fileTx{Tx: tx}
			if fnErr = fn(w); fnErr != nil {
				return fnErr
			}
			if !w.dirty {
				return errClean
			}
			return nil
		})
		panicked = false
		return err
	})
	if panicked {
		s.wedged.Store(true)
	}
	fatal := (*fatalError)(nil)
	switch {
	case err == nil || err == errClean:
		if s.maxSize > 0 {
			s.viewFile(func(tx *bolt.Tx) error { s.high.Store(tx.Size()); return nil })
		}
		return nil
	case fnErr != nil && !errors.As(fnErr, &fatal) && !panicked:
		return fnErr
	}
	return s.failed(err)
}

// ensure finds or makes a nested bucket.
func (w *fileTx) ensure(p parent, names ...[]byte) (b *bolt.Bucket, err error) {
	for i := range names {
		n := names[i : i+1]
		err = guard(func() (err error) { b, err = open(p, n); return err })
		if err == nil && b == nil {
			w.dirty = true
			err = change(func() error {
				if b, err = p.CreateBucket(n[0]); err != nil {
					return err
				}
				return b.SetSequence(bucketMark(n[0]))
			})
		}
		if err != nil {
			return nil, err
		}
		p = b
	}
	return b, nil
}

// put changes pages; its error is fatal to the transaction, unless the page to be changed can not even be read.
func (w *fileTx) put(b *bolt.Bucket, key, rec []byte) error {
	if err := guard(func() error { b.Get(key); return nil }); err != nil {
		return err
	}
	w.dirty = true
	return change(func() error { return b.Put(key, rec) })
}
