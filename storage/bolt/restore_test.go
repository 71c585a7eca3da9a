package bolt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// TestRestore: what Backup wrote becomes a file again, once, and only if it is sound.
func TestRestore(t *testing.T) {
	ctx := t.Context()
	s, err := Open(filepath.Join(t.TempDir(), "a.db"), Options{})
	check(t, err)
	check(t, s.Bucket("b").KV("k").Put(ctx, []byte("key"), []byte("value")))
	var copied bytes.Buffer
	check(t, s.Backup(ctx, &copied))
	check(t, s.Close())
	check(t, VerifyAt(ctx, bytes.NewReader(copied.Bytes()), int64(copied.Len()), "copy"))

	dir := t.TempDir()
	path := filepath.Join(dir, "b.db")
	cut := copied.Bytes()[:copied.Len()-4096]
	if err := Restore(ctx, path, bytes.NewReader(cut), nil); !errors.Is(err, ErrFormat) {
		t.Errorf("cut short: %v", err)
	}
	spoiled := bytes.Replace(copied.Bytes(), []byte("value"), []byte("valuf"), -1)
	if err := Restore(ctx, path, bytes.NewReader(spoiled), nil); !errors.Is(err, storage.ErrCorrupt) {
		t.Errorf("spoiled: %v", err)
	}
	no := errors.New("no")
	if err := Restore(ctx, path, bytes.NewReader(copied.Bytes()), func(tmp string) error {
		s, err := Open(tmp, Options{})
		check(t, err)
		check(t, s.Close())
		return no
	}); !errors.Is(err, no) {
		t.Errorf("refused: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "b.db*")); len(left) != 1 { // the lock
		t.Errorf("left behind: %v", left)
	}
	check(t, Restore(ctx, path, bytes.NewReader(copied.Bytes()), nil))
	if fi, err := os.Stat(path); err != nil || fi.Mode() != 0o600 {
		t.Errorf("mode: %v %v", fi, err)
	}
	if err := Restore(ctx, path, bytes.NewReader(copied.Bytes()), nil); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("over a file: %v", err)
	}
	s, err = Open(path, Options{})
	check(t, err)
	defer s.Close()
	if v, err := s.Bucket("b").KV("k").Get(ctx, []byte("key")); string(v) != "value" {
		t.Errorf("got %q, %v", v, err)
	}
	if err := Restore(ctx, path, bytes.NewReader(copied.Bytes()), nil); !errors.Is(err, ErrInUse) {
		t.Errorf("while it is open: %v", err)
	}
}
