package bolt

import (
	"fmt"
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

// TestSuite runs with what is written lying in layers, in the file, and in both; and with stores that were closed well or not.
func TestSuite(t *testing.T) {
	for _, c := range []struct {
		size  int
		crash bool
	}{{layerSize, false}, {layerSize, true}, {1, false}, {2000, true}} {
		t.Run(fmt.Sprintf("layers of %d, crash %v", c.size, c.crash), func(t *testing.T) {
			o := Options{noSync: true, layerSize: c.size}
			storagetest.Run(t, func(t *testing.T) storage.Store {
				return openAt(t, filepath.Join(t.TempDir(), "x.db"), o)
			}, func(t *testing.T, s storage.Store) storage.Store {
				if c.crash {
					s.(*Store).w.broken.Store(&errNoMark)
				}
				check(t, s.Close())
				return openAt(t, s.(*Store).path, o)
			})
		})
	}
}
