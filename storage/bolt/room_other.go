//go:build !linux

package bolt

import "os"

// diskRoom does not know.
func diskRoom(*os.File) (left, all int64, ok bool) { return 0, 0, false }
