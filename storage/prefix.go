package storage

import "slices"

// DeletePrefix removes all keys of a KV that begin with a prefix, such as those of one account. It is for what a limit keeps
// small: all is one transaction. Among damaged values it does what it can and returns ErrCorrupt.
func DeletePrefix(kv TxKV, prefix []byte) error {
	var keys [][]byte
	err := kv.Scan(prefix, nil, func(k, _ []byte) bool {
		keys = append(keys, slices.Clone(k))
		return true
	})
	for _, k := range keys {
		if derr := kv.Delete(k); derr != nil {
			return derr
		}
	}
	return err
}
