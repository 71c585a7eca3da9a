package bolt

import (
	"path/filepath"
	"testing"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/storagetest"
)

// openAt opens a store and closes it with the test.
func openAt(t testing.TB, path string, o Options) *Store {
	t.Helper()
	s, err := openFormat(path, o, current)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store {
		return openAt(t, filepath.Join(t.TempDir(), "x.db"), Options{noSync: true})
	}, func(t *testing.T, s storage.Store) storage.Store {
		path := s.(*Store).path
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return openAt(t, path, Options{noSync: true})
	})
}
