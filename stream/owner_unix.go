//go:build unix

package stream

import (
	"io/fs"
	"syscall"
)

// owner returns the user that a file belongs to.
func owner(fi fs.FileInfo) (uid int, ok bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(st.Uid), true
}
