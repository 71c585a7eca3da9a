//go:build !linux

package bolt

import "os"

// syncData has what was written to a file on disk when it returns nil.
func syncData(d disk) error {
	if f, ok := d.(*os.File); ok {
		return f.Sync()
	}
	return nil // a test's
}
