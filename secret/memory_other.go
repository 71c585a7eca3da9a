//go:build !linux

package secret

import (
	"errors"
	"fmt"
	"syscall"
)

func lock(size int) ([]byte, error) {
	return make([]byte, size), errors.New("secret: memory may be swapped out: this system is not known")
}

// Harden keeps the memory of this process from others, as far as this is known here: it leaves no core dump.
func Harden() error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("secret: memory may be dumped: %w", err)
	}
	return nil
}
