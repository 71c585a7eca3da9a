package secret

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// lock returns zeroed memory outside of Go's heap, where the garbage collector neither moves nor copies it.
func lock(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, max(size, 1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return make([]byte, size), fmt.Errorf("secret: no memory of its own: %w", err)
	}
	return b[:size:size], errors.Join(
		wrap("not kept out of core dumps", unix.Madvise(b, unix.MADV_DONTDUMP)),
		wrap("may be swapped out", unix.Mlock(b)),
	)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("secret: memory %s: %w", what, err)
}

// Harden keeps the memory of this process from others: it leaves no core dump (RLIMIT_CORE), and nobody but root can attach to
// it or read it by /proc (PR_SET_DUMPABLE).
func Harden() error {
	return errors.Join(
		wrap("may be dumped", unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})),
		wrap("may be read by processes of the same user", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)),
	)
}
