package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/storage"
)

var backupCommand = &command{
	name: "backup", args: "FILE",
	summary: "write a copy of all that the server stores to a file",
	help: `Writes one consistent state of the database, of a running server too, and the keyring that belongs to it, as a tar for this user
alone. All that was acknowledged before the command began is in it. The file gets its name when it is whole, on disk and
checked; one that is there already is left as it is. What it holds is as secret as the data directory. Certificates, the
configuration and the key files that it names are not in it.

example: xmppd backup /var/backups/xmppd.tar`,
	run: runBackup,
}

func runBackup(ctx context.Context, c *call) error {
	if len(c.args) != 1 {
		return usageError("backup takes one file")
	}
	file := c.args[0]
	if err := free(file); err != nil {
		return err
	}
	cfg, err := c.loadConfig()
	if err != nil {
		return err
	}
	a, err := c.dialAdmin(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	keyring, name, err := auth.ReadKeyring(filepath.Join(cfg.Resolve(cfg.General.DataDir), keyringName))
	if err != nil {
		return err
	}
	defer clear(keyring)
	size, err := saveSnapshot(ctx, file, keyring, func(w io.Writer) error {
		with, err := a.backup(ctx, w)
		if err == nil && with != name {
			err = fmt.Errorf("the server's keyring is %s and that of the file is %s: %s was replaced while the server runs; put the old one back", with, name, keyringName)
		}
		return err
	})
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.stdout, map[string]any{"file": file, "bytes": size})
	}
	fmt.Fprintf(c.stdout, "wrote %s, %d bytes, and checked it\n", file, size)
	return nil
}

// free makes sure that there is no such file.
func free(file string) error {
	switch _, err := os.Lstat(file); {
	case err == nil:
		return fmt.Errorf("%s is there already: nothing is written over it", file)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return nil
}

// saveSnapshot writes a backup under another name, checks it, and gives it its own.
func saveSnapshot(ctx context.Context, file string, keyring []byte, database func(io.Writer) error) (size int64, err error) {
	dir := filepath.Dir(file)
	tmp := filepath.Join(dir, "."+filepath.Base(file)+"."+rand.Text()[:8]+".tmp")
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL follows no link
	if err != nil {
		return 0, err
	}
	defer os.Remove(tmp)
	defer f.Close()
	if err := f.Chmod(0o600); err != nil { // whatever the umask took
		return 0, err
	}
	if err := writeSnapshot(f, keyring, database); err != nil {
		return 0, err
	}
	if err := f.Sync(); err != nil {
		return 0, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return 0, err
	}
	s, err := readSnapshot(f)
	if err != nil {
		return 0, err
	}
	if err := s.verify(ctx); err != nil {
		return 0, fmt.Errorf("what was written is not sound: %w", err)
	}
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if err := free(file); err != nil {
		return 0, err
	}
	if err := os.Rename(tmp, file); err != nil {
		return 0, err
	}
	return fi.Size(), storage.SyncDir(dir)
}

// keyringHeader names, in the answer to GET /v1/backup, the keyring that the database is sealed with.
const keyringHeader = "Xmppd-Keyring"

// backup writes a copy of the database, and returns the name of the keyring that belongs to it.
func (a *admin) backup(ctx context.Context, w io.Writer) (keyring string, err error) {
	if a.server != nil {
		return a.server.keys.Fingerprint(), a.server.store.Backup(ctx, w)
	}
	out := &lateWriter{w: w}
	head, err := a.fetch(ctx, "/v1/backup", out)
	if err != nil && out.begun {
		err = fmt.Errorf("the copy ended in the middle, its reason is in the server's log: %w", err)
	}
	return head.Get(keyringHeader), err
}

// apiBackup answers with a copy of the database. What fails on the way ends it in the middle, and the command sees that.
func (s *server) apiBackup(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set(keyringHeader, s.keys.Fingerprint())
	out := &lateWriter{w: w}
	err := s.store.Backup(r.Context(), out)
	switch {
	case err == nil:
		s.log.Info("backup taken by the admin")
	case errors.Is(err, errors.ErrUnsupported):
		writeError(w, badRequest("storage.driver = \"memory\" keeps nothing that could be backed up"))
	case !out.begun:
		writeError(w, err)
	default:
		s.log.Error("backup not taken", "err", err)
		panic(http.ErrAbortHandler)
	}
}
