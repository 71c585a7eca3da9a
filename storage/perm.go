package storage

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// CheckDir makes a data directory, with mode 0700 whatever the umask, or checks the one that is there: it and what lies
// directly in it must belong to this process's user and be closed to everybody else. The error names every mistake, a
// line each, with the command that mends it.
func CheckDir(path string) error {
	fi, err := os.Stat(path)
	if missing(err) {
		return makeDir(path)
	}
	if err != nil {
		return fmt.Errorf("storage: data directory: %w", err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("storage: data directory %s is not a directory: move it away or name another data_dir", path)
	}
	errs := []error{closed(path, fi, "data directory")}
	if errs[0] == nil {
		errs[0] = writable(path, fi)
	}
	if p := parentOf(path); p != "" {
		errs = append(errs, checkParent(p))
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		errs = append(errs, fmt.Errorf("storage: data directory: %w", err))
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink != 0 {
			continue // what it leads to is checked by who opens it
		}
		fi, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = closed(filepath.Join(path, e.Name()), fi, kindOf(fi))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// ProbeDir is CheckDir without making anything: of a directory that is missing it says whether it can be made.
func ProbeDir(path string) error {
	if _, err := os.Stat(path); !missing(err) {
		return CheckDir(path)
	}
	return canMake(path)
}

// missing tells whether there is nothing, if only because a file stands where a directory above it should.
func missing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// canMake says why a directory could not be made.
func canMake(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("storage: data directory %s is a symbolic link to nothing: remove it, or make what it leads to", path)
	}
	for p := parentOf(path); p != ""; p = parentOf(p) {
		fi, err := os.Stat(p)
		switch {
		case missing(err):
			continue
		case err != nil:
			return fmt.Errorf("storage: data directory: %w", err)
		case !fi.IsDir():
			return fmt.Errorf("storage: data directory %s cannot be made, %s is not a directory: name another data_dir", path, p)
		}
		if p == parentOf(path) {
			err = checkParent(p)
		}
		if err == nil {
			err = writableFor(path, p, fi)
		}
		return err
	}
	return nil
}

// makeDir makes a directory and those above it. Only the last one's mode is ours to choose.
func makeDir(path string) error {
	if err := canMake(path); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("storage: data directory: %w", err)
	}
	err := os.Mkdir(path, 0o700)
	if err == nil {
		err = os.Chmod(path, 0o700)
	}
	if err == nil {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("storage: data directory: %w", err)
	}
	return nil
}

// CheckSecretFile checks a file that holds secrets, or data as good as secrets: a regular file and no symbolic link, of
// this process's user, closed to everybody else, in a directory where nobody else can replace it. A missing one is
// fs.ErrNotExist.
func CheckSecretFile(path string) error {
	fi, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	return checkSecret(path, fi)
}

func checkSecret(path string, fi fs.FileInfo) error {
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("storage: %s is a symbolic link: put the file itself there", path)
	case !fi.Mode().IsRegular():
		return fmt.Errorf("storage: %s is %s: a regular file is needed", path, kindOf(fi))
	}
	return errors.Join(closed(path, fi, "file"), checkParent(filepath.Dir(path)))
}

// ReadSecretFile checks as CheckSecretFile does and reads the file, through one open file so that nothing can change
// between the two. One larger than limit bytes is refused.
func ReadSecretFile(path string, limit int) ([]byte, error) {
	if fi, err := os.Lstat(path); err == nil && !fi.Mode().IsRegular() {
		return nil, checkSecret(path, fi)
	}
	f, err := openSecret(path)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	if err := checkSecret(path, fi); err != nil {
		return nil, err
	}
	b := make([]byte, limit+1)
	n := 0
	for n < len(b) {
		m, err := f.Read(b[n:])
		n += m
		if m == 0 || err != nil {
			break
		}
	}
	if n > limit {
		clear(b)
		return nil, fmt.Errorf("storage: %s is larger than %d bytes", path, limit)
	}
	return b[:n], nil
}

// WriteSecretFile writes a file with mode 0600, whatever the umask, so that after a crash either the old or the new
// content is there as a whole. A symbolic link in its place is refused, and so is a directory that others can write.
func WriteSecretFile(path string, data []byte) (err error) {
	if fi, err := os.Lstat(path); err == nil && !fi.Mode().IsRegular() {
		return checkSecret(path, fi)
	}
	dir := filepath.Dir(path)
	if err := checkParent(dir); err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+filepath.Base(path)+"."+rand.Text()[:8]+".tmp")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // O_EXCL follows no link
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
			err = fmt.Errorf("storage: %s could not be written: %w", path, err)
		}
	}()
	if err = f.Chmod(0o600); err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err == nil {
		err = SyncDir(dir)
	}
	return err
}

// SyncDir makes the names in a directory durable, as after a rename.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// parentOf returns the directory that holds a path's last element, or "" for a root.
func parentOf(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil || filepath.Dir(abs) == abs {
		return ""
	}
	return filepath.Dir(abs)
}

func kindOf(fi fs.FileInfo) string {
	switch m := fi.Mode(); {
	case m.IsRegular():
		return "file"
	case m.IsDir():
		return "directory"
	case m&fs.ModeSocket != 0:
		return "socket"
	case m&fs.ModeNamedPipe != 0:
		return "named pipe"
	}
	return "special file"
}
