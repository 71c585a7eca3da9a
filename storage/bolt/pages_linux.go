package bolt

import "golang.org/x/sys/unix"

// letGo takes a part of the mapping of a file out of the process's memory. Who reads it again gets it from the system's.
func letGo(at, size uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_MADVISE, at, size, unix.MADV_DONTNEED); errno != 0 {
		return errno
	}
	return nil
}
