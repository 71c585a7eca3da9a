package bolt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// Restore makes a file of what Backup wrote, where there is none. It gets its name when it is whole, sound and on disk, so that
// no crash leaves half a database. Before that ready is called, if it is not nil, with the name that it has until then: what it
// refuses is not restored. Who starts a server on it meanwhile is told that it is in use.
func Restore(ctx context.Context, path string, from io.Reader, ready func(tmp string) error) error {
	lock, err := lockFile(path, time.Second)
	if err != nil {
		return err
	}
	defer lock.Close()
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("storage: %s is there already: nothing is restored over it", path)
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("storage: %w", err)
	}
	switch name, err := journalsBeside(path); {
	case err != nil:
		return err
	case name != "":
		return fmt.Errorf("storage: %s is there, of the database that was there before: nothing is restored beside it, move it away", name)
	}
	tmp := path + ".restored"
	f, err := openNoFollow(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	defer func() {
		os.Remove(tmp)
		os.Remove(tmp + ".lock") // of who opened it in ready
		for _, name := range Journals(tmp) {
			os.Remove(name)
		}
	}()
	err = f.Chmod(0o600) // whatever the umask took
	if err == nil {
		_, err = io.Copy(&ctxWriter{ctx, f}, from)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = VerifyFile(ctx, tmp)
	}
	if err == nil && ready != nil {
		err = ready(tmp)
	}
	if err == nil {
		var name string
		if name, err = journalsBeside(tmp); err == nil && name != "" { // ready closed it, but not well, as on a full disk
			err = fmt.Errorf("storage: %s: what was written into it is not all in it: %w", tmp, storage.ErrFull)
		}
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = storage.SyncDir(filepath.Dir(path))
	}
	return err
}
