//go:build unix

package storage

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// openSecret opens a file itself, never through a symbolic link, and does not wait for a named pipe's writer.
func openSecret(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
}

// closed checks owner and mode of what nobody else may read or write.
func closed(path string, fi fs.FileInfo, what string) error {
	mend := "chmod 600"
	if fi.IsDir() {
		mend = "chmod 700"
	}
	perm := fi.Mode().Perm()
	can := ""
	switch {
	case perm&0o022 != 0:
		can = "written"
	case perm&0o077 != 0:
		can = "read"
	}
	if can != "" {
		return fmt.Errorf("storage: %s %s (mode %04o, owner %s) can be %s by others than its owner: %s %s",
			what, path, perm, ownerText(fi), can, mend, shellText(path))
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	if me := os.Geteuid(); ok && int(st.Uid) != me {
		return fmt.Errorf("storage: %s %s (mode %04o) belongs to %s and not to %s, who runs this: run it as %s, or chown -R %s %s",
			what, path, perm, ownerText(fi), userText(me), userText(int(st.Uid)), userText(me), shellText(path))
	}
	return nil
}

// checkParent refuses a directory in which anybody may replace a file. A sticky one protects directories of ours, but
// not the names that are not yet taken.
func checkParent(dir string) error {
	fi, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("storage: %w", err)
	}
	if perm := fi.Mode().Perm(); perm&0o002 != 0 && fi.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("storage: directory %s (mode %04o, owner %s) can be written by everybody: chmod o-w %s",
			dir, perm, ownerText(fi), shellText(dir))
	}
	return nil
}

// writable says why this process cannot write in its data directory.
func writable(dir string, fi fs.FileInfo) error {
	switch err := mayWrite(dir); {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("storage: data directory %s is on a file system that is mounted read-only: mount it for writing, or name another data_dir", dir)
	case err != nil:
		return fmt.Errorf("storage: data directory %s (mode %04o, owner %s) cannot be written by %s: chmod 700 %s",
			dir, fi.Mode().Perm(), ownerText(fi), userText(os.Geteuid()), shellText(dir))
	}
	return nil
}

// writableFor says why this process cannot make its data directory below dir.
func writableFor(path, dir string, fi fs.FileInfo) error {
	switch err := mayWrite(dir); {
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("storage: data directory %s cannot be made, %s is on a file system that is mounted read-only: name another data_dir", path, dir)
	case err != nil:
		me := userText(os.Geteuid())
		return fmt.Errorf("storage: data directory %s cannot be made, %s (mode %04o, owner %s) is not for %s to write: as root, install -d -m 700 -o %s %s",
			path, dir, fi.Mode().Perm(), ownerText(fi), me, me, shellText(path))
	}
	return nil
}

// mayWrite asks the kernel whether names can be made in a directory.
func mayWrite(dir string) error { return syscall.Access(dir, 0b011) } // W_OK|X_OK

// shellText quotes a path where a shell needs it.
func shellText(path string) string {
	safe := strings.IndexFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@:,", r))
	}) < 0
	if safe && path != "" && path[0] != '-' {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}

func ownerText(fi fs.FileInfo) string {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		return userText(int(st.Uid))
	}
	return "unknown"
}

func userText(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return u.Username
	}
	return id
}
