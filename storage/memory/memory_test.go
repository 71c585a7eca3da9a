package memory_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/memory"
	"github.com/xmppd/xmppd/storage/storagetest"
)

func TestSuite(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Store { return memory.New() }, nil)
}

func TestBackup(t *testing.T) {
	s := memory.New()
	defer s.Close()
	if err := s.Backup(t.Context(), new(bytes.Buffer)); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("Backup: %v", err)
	}
}
