package auth

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// keyringSize is the size of the file: the whole of it is the secret.
const keyringSize = 32

// Keyring is the server's own secret: one file of 32 random bytes, made at the first start with mode 0600, from which every
// use derives its own key (HKDF-SHA-256). Without it a copy of the database is of no use.
type Keyring struct{ secret []byte }

// OpenKeyring reads the file, or makes it. It refuses one that others can read or write, a symbolic link, and one of the
// wrong size, and says the remedy.
func OpenKeyring(path string) (*Keyring, error) {
	secret, err := readKeyring(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKeyring(path); err == nil {
			secret, err = readKeyring(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	return &Keyring{secret}, nil
}

// Secret returns the 32-byte key for a use; the same label always gives the same key.
func (k *Keyring) Secret(label string) []byte {
	// RFC 5869: the file is uniformly random, so no salt; the label keeps the uses apart.
	key, err := hkdf.Key(sha256.New, k.secret, nil, "xmppd keyring v1: "+label, sha256.Size)
	if err != nil {
		panic("auth: " + err.Error()) // only for lengths that HKDF cannot give
	}
	return key
}

// Format keeps the secret out of whatever prints whole structures.
func (Keyring) Format(f fmt.State, _ rune) { io.WriteString(f, "auth.Keyring") }

// readKeyring reads an existing file. What it checks, it checks on the open file, so that nothing can be put in its place
// between the check and the reading.
func readKeyring(path string) ([]byte, error) {
	// O_NONBLOCK: a FIFO in its place must not hang the start.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, fmt.Errorf("%s is a symbolic link: put the file itself there", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file: move it away", path)
	}
	if err := checkOwner(path, fi); err != nil {
		return nil, err
	}
	if perm := fi.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o, others can get at it: chmod 600 %[1]s", path, perm)
	}
	secret, err := io.ReadAll(io.LimitReader(f, keyringSize+1))
	if err != nil {
		return nil, err
	}
	if fi.Size() != keyringSize || len(secret) != keyringSize {
		return nil, fmt.Errorf("%s has %d bytes, must have %d: put the file back from a backup; "+
			"without it no stored password can be used", path, fi.Size(), keyringSize)
	}
	if bytes.Equal(secret, make([]byte, keyringSize)) {
		return nil, fmt.Errorf("%s is all zeros: put the file back from a backup", path)
	}
	return secret, nil
}

// checkOwner refuses a file of somebody else: he can read it whatever its mode says.
func checkOwner(path string, fi fs.FileInfo) error {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 || int(st.Uid) == os.Geteuid() {
		return nil
	}
	return fmt.Errorf("%s belongs to user %d: chown %d %[1]s", path, st.Uid, os.Geteuid())
}

// makeKeyring writes a new secret: complete and on disk before it gets its name, and never over an existing file.
func makeKeyring(path string) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keyring-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		os.Remove(f.Name())
	}()
	secret := make([]byte, keyringSize)
	rand.Read(secret) // never fails
	if err := f.Chmod(0o600); err != nil {
		return err // a umask may have taken away more
	}
	if _, err := f.Write(secret); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// A second process that starts at the same time loses here and reads what the first one wrote.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
