package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/storage"
)

// KeyringSize is the size of the file: the whole of it is the secret.
const KeyringSize = 32

// Keyring is the server's own secret: one file of 32 random bytes, made at the first start with mode 0600, from which every
// use derives its own key (HKDF-SHA-256). Without it a copy of the database is of no use.
type Keyring struct {
	secret   secret.Key
	unlocked error // why its memory is not locked
}

// OpenKeyring reads the file, or makes it. It refuses one that others can read or write, a symbolic link, and one of the
// wrong size, and says the remedy.
func OpenKeyring(path string) (*Keyring, error) {
	b, err := readKeyring(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKeyring(path); err == nil {
			b, err = readKeyring(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("keyring: %w", err)
	}
	k := &Keyring{}
	k.secret, k.unlocked = secret.Lock(b)
	return k, nil
}

// Unlocked says why the system does not keep the keyring's memory from being swapped out or dumped; nil: it does.
func (k *Keyring) Unlocked() error { return k.unlocked }

// Secret returns the 32-byte key for a use; the same label always gives the same key.
func (k *Keyring) Secret(label string) []byte {
	// RFC 5869: the file is uniformly random, so no salt; the label keeps the uses apart.
	key, err := hkdf.Key(sha256.New, k.secret.Bytes(), nil, "xmppd keyring v1: "+label, sha256.Size)
	if err != nil {
		panic("auth: " + err.Error()) // only for lengths that HKDF cannot give
	}
	return key
}

// Fingerprint names the keyring without telling it: the first eight hex digits of its SHA-256.
func (k *Keyring) Fingerprint() string { return fingerprint(k.secret.Bytes()) }

func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:4])
}

// ReadKeyring reads the file for a copy that is kept beside one of the database, and what Fingerprint would say of it. It makes
// none where there is none.
func ReadKeyring(path string) (b []byte, name string, err error) {
	if b, err = readKeyring(path); err != nil {
		return nil, "", fmt.Errorf("keyring: %w", err)
	}
	return b, fingerprint(b), nil
}

// Size is how many bytes it has.
func (k *Keyring) Size() int { return len(k.secret.Bytes()) }

// Format keeps the secret out of whatever prints whole structures.
func (Keyring) Format(f fmt.State, _ rune) { io.WriteString(f, "auth.Keyring") }

// readKeyring reads an existing file, if nobody else can get at it.
func readKeyring(path string) ([]byte, error) {
	b, err := storage.ReadSecretFile(path, 4<<10)
	if err != nil {
		return nil, err
	}
	if len(b) != KeyringSize || hmac.Equal(b, make([]byte, KeyringSize)) {
		return nil, fmt.Errorf("%s is damaged: it must have %d random bytes, has %d: put the file back from a backup; "+
			"without it no stored password can be used", path, KeyringSize, len(b))
	}
	return b, nil
}

// makeKeyring writes a new secret: complete and on disk before it gets its name, and never over an existing file.
func makeKeyring(path string) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".keyring-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		os.Remove(f.Name())
	}()
	b := make([]byte, KeyringSize)
	defer clear(b)
	rand.Read(b) // never fails
	if err := f.Chmod(0o600); err != nil {
		return err // a umask may have taken away more
	}
	if _, err := f.Write(b); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// A second process that starts at the same time loses here and reads what the first one wrote.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return storage.SyncDir(dir)
}
