package bolt

import (
	"os"
	"syscall"
)

// diskRoom returns how many bytes of a file's disk are left to this process, and how many it has.
func diskRoom(f *os.File) (left, all uint64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Fstatfs(int(f.Fd()), &st); err != nil || st.Bsize <= 0 {
		return 0, 0, false
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), true
}
