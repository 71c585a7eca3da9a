package bolt

import (
	"os"
	"syscall"
)

// syncData has what was written to a file on disk when it returns nil; its times may be older there.
func syncData(d disk) error {
	f, ok := d.(*os.File)
	if !ok {
		return nil // a test's
	}
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = c.Control(func(fd uintptr) {
		for {
			if serr = syscall.Fdatasync(int(fd)); serr != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && serr != nil {
		err = &os.PathError{Op: "fdatasync", Path: f.Name(), Err: serr}
	}
	return err
}
