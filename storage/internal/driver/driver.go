// Package driver holds what storage drivers share: an ordered map, transactions as layers of pending writes, the IDs of
// archives and the bounds of their queries.
package driver

import (
	"fmt"

	"github.com/xmppd/xmppd/storage"
)

// CheckKey refuses a key that no driver stores.
func CheckKey(key []byte) error {
	if len(key) == 0 || len(key) > storage.MaxKey {
		return fmt.Errorf("%w: a key has 1 to %d bytes, this one %d", storage.ErrLimit, storage.MaxKey, len(key))
	}
	return nil
}

// CheckValue refuses a value that no driver stores.
func CheckValue(n int) error {
	if n > storage.MaxValue {
		return fmt.Errorf("%w: a value has at most %d bytes, this one %d", storage.ErrLimit, storage.MaxValue, n)
	}
	return nil
}

// CheckName refuses an owner or a With that no driver stores.
func CheckName(names ...string) error {
	for _, n := range names {
		if len(n) > storage.MaxKey {
			return fmt.Errorf("%w: a name has at most %d bytes, this one %d", storage.ErrLimit, storage.MaxKey, len(n))
		}
	}
	return nil
}

// CheckPath refuses a path, together with the name of what is in it, that no driver stores.
func CheckPath(path []string, name string) error {
	n := len(name)
	for _, p := range path {
		n += len(p) + 3
	}
	if n > storage.MaxPath {
		return fmt.Errorf("%w: a path has at most %d bytes, this one %d", storage.ErrLimit, storage.MaxPath, n)
	}
	return nil
}
