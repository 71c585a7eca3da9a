//go:build !unix

package bolt

import (
	"os"
	"time"
)

func openNoFollow(path string, flag int, mode os.FileMode) (*os.File, error) {
	return os.OpenFile(path, flag, mode)
}

// lockFile relies on bolt's own lock where there is no flock.
func lockFile(path string, _ time.Duration) (*os.File, error) {
	return os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
}

func shareFile(*os.File) bool { return true }
