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
	err := b.Update(ctx, func(tx Tx) (err error) {
		damaged, err = DeletePrefixIn(tx, prefix, names...)
		return err
	})
	return errors.Join(err, damaged)
}

// DeletePrefixIn is DeletePrefix within a transaction. damaged, an ErrCorrupt, tells of values that stay; err ends the transaction.
func DeletePrefixIn(tx Tx, prefix []byte, names ...string) (damaged, err error) {
	for _, name := range names {
		kv := tx.KV(name)
		var keys [][]byte
		err := kv.Scan(prefix, nil, func(k, _ []byte) bool {
			keys = append(keys, slices.Clone(k))
			return true
		})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return damaged, err
		}
		damaged = errors.Join(damaged, err)
		for _, k := range keys {
			if err := kv.Delete(k); err != nil {
				return damaged, err
			}
		}
	}
	return damaged, nil
}
