package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// TestDamagedKeySize has a key say that it is a gigabyte long: that is reported, and nobody makes room for it.
func TestDamagedKeySize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	s := openAt(t, path, Options{noSync: true})
	for i := range 100 {
		check(t, s.Bucket("b").KV("kv").Put(t.Context(), fmt.Appendf(nil, "key-%02d", i), make([]byte, 100)))
	}
	check(t, s.Close())
	content := read(t, path)
	n, found := binary.NativeEndian, 0
	for page := 0; page < len(content); page += s.pageSize {
		if n.Uint16(content[page+8:]) != flagLeaf {
			continue
		}
		for i := range int(n.Uint16(content[page+10:])) {
			at := page + pageHead + i*leafElem
			if k := content[at+int(n.Uint32(content[at+4:])):]; bytes.HasPrefix(k, []byte("key-50")) {
				n.PutUint32(content[at+8:], 1<<30)
				found++
			}
		}
	}
	if found == 0 {
		t.Fatal("the key is not in the file")
	}
	check(t, os.WriteFile(path, content, 0o600))
	s = openAt(t, path, Options{CheckBudget: -1})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, from := range []string{"", "key-50"} {
		if err := s.Bucket("b").KV("kv").Scan(t.Context(), nil, []byte(from), func(k, v []byte) bool { return true }); !errors.Is(err, storage.ErrCorrupt) {
			t.Errorf("from %q: %v", from, err)
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<24 {
		t.Errorf("it took %d bytes of memory", took)
	}
}
