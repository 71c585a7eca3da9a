package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"
	"syscall"

	berrors "go.etcd.io/bbolt/errors"

	"github.com/xmppd/xmppd/storage"
)

// guard runs what reads bolt's pages. bolt trusts them: a damaged one makes it panic or read beyond the mapping, and a
// file cut short faults. All of it becomes ErrCorrupt. Functions of callers must not run under it.
func guard(fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: bolt: %v", storage.ErrCorrupt, r)
		}
	}()
	return fn()
}

func readError(err error) error {
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return storage.ErrClosed
	}
	return err
}

// fatalError is one of bolt's while it changes its pages: the whole transaction must be given up.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// change runs what changes bolt's pages.
func change(fn func() error) error {
	err := guard(fn)
	if err != nil {
		err = &fatalError{err}
	}
	return err
}

// mustChange makes an error fatal where earlier changes of the same transaction have been made.
func mustChange(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

// noSpace says whether a commit failed for want of space before anything was synced, so that the state on disk is the
// one before it and a later write may well succeed. A sync that reports no space is not among them: what the kernel
// dropped is unknown then.
func noSpace(err error) bool {
	if errors.Is(err, berrors.ErrMaxSizeReached) {
		return true
	}
	full := errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return full && (pe.Op == "write" || pe.Op == "truncate")
	}
	const resize = "file resize error: " // bolt keeps only the text of this one
	msg := err.Error()
	return strings.HasPrefix(msg, resize) &&
		(strings.HasSuffix(msg, syscall.ENOSPC.Error()) || strings.HasSuffix(msg, syscall.EDQUOT.Error()))
}
