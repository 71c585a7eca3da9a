package keystore

import (
	"crypto/rand"
	"sync"
)

// Source is where keys of type ram live. Without any other they are in the memory of this process. A module that joins
// servers to a cluster provides one, listed before mod_keystore, and then all its nodes have the same keys: of the keys that
// they propose the first one wins, and the last node out ends it. It is asked for keys at each login, so it has them at hand and
// answers without waiting; to rotate one it may take its time.
type Source interface {
	// Keys returns the keys of an ID. Where there is none yet it makes one of that many random bytes.
	Keys(id ID, size int) (Keys, error)
	// Rotate makes a new key; the old one is the previous one from then on.
	Rotate(id ID, size int) (Keys, error)
}

// ID names a key among those of all hosts.
type ID struct{ Host, Name string }

// memory is the Source of a server on its own.
type memory struct {
	lock func([]byte) []byte // where keys are kept
	mu   sync.Mutex
	keys map[ID]Keys
}

func newMemory(lock func([]byte) []byte) *memory { return &memory{lock: lock, keys: map[ID]Keys{}} }

// Keys implements Source.
func (m *memory) Keys(id ID, size int) (Keys, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.keys[id]
	if !ok {
		k = Keys{Current: m.lock(random(size))}
		m.keys[id] = k
	}
	return k, nil
}

// Rotate implements Source.
func (m *memory) Rotate(id ID, size int) (Keys, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := Keys{Current: m.lock(random(size)), Previous: m.keys[id].Current}
	m.keys[id] = k
	return k, nil
}

func random(size int) []byte {
	b := make([]byte, size)
	rand.Read(b) // never fails
	return b
}
