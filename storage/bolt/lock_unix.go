//go:build unix

package bolt

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// openNoFollow opens a file itself, never through a symbolic link.
func openNoFollow(path string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag|syscall.O_NOFOLLOW, mode)
}

// lockFile takes PATH.lock, for whoever holds it has the database open, and writes the process's number into it. The
// kernel lets go of it when the process ends, however it ends.
func lockFile(path string, timeout time.Duration) (*os.File, error) {
	f, err := openNoFollow(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	deadline := time.Now().Add(timeout)
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("storage: lock %s.lock: %w", path, err)
		}
		if time.Now().After(deadline) {
			var b [20]byte
			n, _ := f.ReadAt(b[:], 0)
			f.Close()
			if pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
				return nil, fmt.Errorf("storage: %s is %w by process %d: stop it first", path, ErrInUse, pid)
			}
			return nil, fmt.Errorf("storage: %s is %w by another process: stop it first", path, ErrInUse)
		}
		time.Sleep(20 * time.Millisecond)
	}
	err = f.Chmod(0o600)
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		// A full disk is no reason not to start: then the number is missing.
		if _, werr := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); werr != nil && !errors.Is(werr, syscall.ENOSPC) {
			err = werr
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("storage: %w", err)
	}
	return f, nil
}

// shareFile says whether nobody has the database file itself open for writing, and keeps it so until f is closed.
func shareFile(f *os.File) bool {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) == nil
}
