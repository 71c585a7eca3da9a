package storage

import (
	"context"
	"errors"
	"slices"
)

// DeletePrefix removes all keys of some of a bucket's KVs that begin with a prefix, such as those of one account. It is for what
// a limit keeps small: all is one transaction. A damaged value stays, and the error is then ErrCorrupt; all else is gone.
func DeletePrefix(ctx context.Context, b Bucket, prefix []byte, names ...string) error {
	var damaged error
	err := b.Update(ctx, func(tx Tx) error {
		damaged = nil
		for _, name := range names {
			kv := tx.KV(name)
			var keys [][]byte
			err := kv.Scan(prefix, nil, func(k, _ []byte) bool {
				keys = append(keys, slices.Clone(k))
				return true
			})
			if err != nil && !errors.Is(err, ErrCorrupt) {
				return err
			}
			damaged = errors.Join(damaged, err)
			for _, k := range keys {
				if err := kv.Delete(k); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return errors.Join(err, damaged)
}
