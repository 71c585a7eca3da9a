package bolt

import (
	"os"
	"syscall"
)

// diskRoom returns how many bytes of a file's disk are left to this process, and how many it has.
func diskRoom(f *os.File) (left, all int64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil || st.Bsize <= 0 {
		return 0, 0, false
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), true
}
