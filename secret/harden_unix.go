//go:build unix && !linux

package secret

import (
	"fmt"
	"syscall"
)

// Harden keeps the memory of this process from others, as far as this is known here: it leaves no core dump.
func Harden() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("secret: memory may be dumped: %w", err)
	}
	return nil
}
