package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/storage/bolt"
)

// A backup is a tar of two files, as they lie in a data directory: the keyring, and the database that is sealed with it. One
// without the other is of little use, so that they travel together.

// tarBlock is what a tar is made of: a head has one, and what follows it is filled up to the next.
const tarBlock = 512

// writeSnapshot writes a backup into an empty file; database writes the database. How long that is is known when it is
// written: the head before it comes last.
func writeSnapshot(f *os.File, keyring []byte, database func(io.Writer) error) error {
	now := time.Now()
	head := func(name string, size int64) *tar.Header {
		// GNU's head has room for any size in one block.
		return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: now, Format: tar.FormatGNU}
	}
	tw := tar.NewWriter(f)
	if err := tw.WriteHeader(head(keyringName, int64(len(keyring)))); err != nil {
		return err
	}
	if _, err := tw.Write(keyring); err != nil {
		return err
	}
	if err := tw.Flush(); err != nil { // up to the next block
		return err
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := f.Seek(at+tarBlock, io.SeekStart); err != nil {
		return err
	}
	if err := database(f); err != nil {
		return err
	}
	end, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	size := end - at - tarBlock
	if _, err := f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	if err := tar.NewWriter(f).WriteHeader(head(databaseName, size)); err != nil {
		return err
	}
	// The rest of the last block, and two that are empty, are the end.
	return f.Truncate((end+tarBlock-1)/tarBlock*tarBlock + 2*tarBlock)
}

// snapshot is a backup that lies open.
type snapshot struct {
	name     string
	keyring  []byte
	database *io.SectionReader
}

// errSnapshot says what a file is not.
var errSnapshot = errors.New("this is no backup of xmppd")

// readSnapshot looks at what a backup has. Nothing else may be in it, and no name of it becomes that of a file.
func readSnapshot(f *os.File) (*snapshot, error) {
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s := &snapshot{name: f.Name()}
	tr := tar.NewReader(f)
	next := func(name string) (size int64, err error) {
		h, err := tr.Next()
		if err != nil || h.Name != name || h.Typeflag != tar.TypeReg || h.Format == tar.FormatPAX || h.Size < 0 {
			return 0, fmt.Errorf("%s: %w: there is no %s where it should be", s.name, errSnapshot, name)
		}
		return h.Size, nil
	}
	size, err := next(keyringName)
	if err != nil {
		return nil, err
	}
	if size != auth.KeyringSize {
		return nil, fmt.Errorf("%s: %w: its %s has %d bytes, not %d", s.name, errSnapshot, keyringName, size, auth.KeyringSize)
	}
	s.keyring = make([]byte, size)
	if _, err := io.ReadFull(tr, s.keyring); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", s.name, errSnapshot, err)
	}
	if size, err = next(databaseName); err != nil {
		return nil, err
	}
	at, err := f.Seek(0, io.SeekCurrent) // the reader reads heads and no further
	if err != nil {
		return nil, err
	}
	if at+size > fi.Size() || at+size < at {
		return nil, fmt.Errorf("%s: it was cut short: %d bytes of the database are missing", s.name, at+size-fi.Size())
	}
	s.database = io.NewSectionReader(f, at, size)
	return s, nil
}

// verify reads all of the database.
func (s *snapshot) verify(ctx context.Context) error {
	return bolt.VerifyAt(ctx, s.database, s.database.Size(), s.name)
}

// withSnapshot hands over a backup that was read as a whole and is sound.
func withSnapshot(ctx context.Context, file string, fn func(*snapshot) error) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := readSnapshot(f)
	if err != nil {
		return err
	}
	defer clear(s.keyring)
	if err := s.verify(ctx); err != nil {
		return err
	}
	return fn(s)
}
