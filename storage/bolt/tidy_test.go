package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// TestTidy lets go of layers and pages, and finds all again.
func TestTidy(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{})
	kv := s.Bucket("b").KV("kv")
	for i := range 200 {
		check(t, kv.Put(t.Context(), fmt.Appendf(nil, "%d", i), make([]byte, 1000)))
	}
	check(t, s.Tidy(t.Context()))
	if s.mu.RLock(); len(s.active.tables) > 0 || s.frozen != nil {
		t.Error("layers are left")
	}
	s.mu.RUnlock()
	for i := range 200 {
		v, err := kv.Get(t.Context(), fmt.Appendf(nil, "%d", i))
		if err != nil || len(v) != 1000 {
			t.Fatalf("%d: %d bytes, %v", i, len(v), err)
		}
	}
	check(t, s.Verify(t.Context()))
	check(t, s.Close())
	if err := s.Tidy(t.Context()); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
