package auth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestKeyring(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	old := syscall.Umask(0o777) // the worst one must not matter
	k, err := OpenKeyring(path)
	syscall.Umask(old)
	must(t, err)
	fi, err := os.Lstat(path)
	must(t, err)
	if fi.Mode() != 0o600 || fi.Size() != 32 {
		t.Errorf("mode %v, size %d", fi.Mode(), fi.Size())
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
	again, err := OpenKeyring(path)
	must(t, err)
	if len(k.Secret("x")) != 32 || !bytes.Equal(k.Secret("x"), again.Secret("x")) {
		t.Error("the same label must always give the same 32 bytes")
	}
	if bytes.Equal(k.Secret("x"), k.Secret("y")) {
		t.Error("two labels give the same key")
	}
	raw, err := os.ReadFile(path)
	must(t, err)
	if bytes.Equal(k.Secret(""), raw) {
		t.Error("the file itself is used as a key")
	}
	if s := fmt.Sprintf("%v %+v %#v %s %x", k, k, k, k, *again); strings.Contains(s, fmt.Sprintf("%x", raw)) ||
		strings.Contains(s, fmt.Sprint(raw)) {
		t.Errorf("prints its secret: %s", s)
	}
}

func TestKeyringAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keyring")
	var secrets [8][]byte
	var wg sync.WaitGroup
	for i := range secrets {
		wg.Go(func() {
			if k, err := OpenKeyring(path); err == nil {
				secrets[i] = k.Secret("x")
			}
		})
	}
	wg.Wait()
	for i := range secrets {
		if secrets[i] == nil || !bytes.Equal(secrets[0], secrets[i]) {
			t.Fatalf("opener %d has another secret", i)
		}
	}
}

func TestKeyringRefused(t *testing.T) {
	good := []byte("0123456789abcdef0123456789abcdef")
	for name, tc := range map[string]struct {
		make   func(path string) error
		remedy string
	}{
		"group":    {func(p string) error { return os.WriteFile(p, good, 0o640) }, "chmod 600"},
		"others":   {func(p string) error { return os.WriteFile(p, good, 0o604) }, "chmod 600"},
		"writable": {func(p string) error { return os.WriteFile(p, good, 0o620) }, "chmod 600"},
		"empty":    {func(p string) error { return os.WriteFile(p, nil, 0o600) }, "backup"},
		"short":    {func(p string) error { return os.WriteFile(p, good[:31], 0o600) }, "backup"},
		"newline":  {func(p string) error { return os.WriteFile(p, append(good, '\n'), 0o600) }, "backup"},
		"large":    {func(p string) error { return os.WriteFile(p, make([]byte, 1<<20), 0o600) }, "larger"},
		"parent": {func(p string) error {
			return errors.Join(os.WriteFile(p, good, 0o600), os.Chmod(filepath.Dir(p), 0o777))
		}, "chmod o-w"},
		"zeros": {func(p string) error { return os.WriteFile(p, make([]byte, 32), 0o600) }, "backup"},
		"symlink": {func(p string) error {
			if err := os.WriteFile(p+".real", good, 0o600); err != nil {
				return err
			}
			return os.Symlink(p+".real", p)
		}, "symbolic link"},
		"dangling symlink": {func(p string) error { return os.Symlink(p+".none", p) }, "symbolic link"},
		"directory":        {func(p string) error { return os.Mkdir(p, 0o700) }, "regular file"},
		"fifo":             {func(p string) error { return syscall.Mkfifo(p, 0o600) }, "regular file"},
		"no directory":     {func(p string) error { return os.Remove(filepath.Dir(p)) }, "no such file"},
		"foreign": {func(p string) error {
			if err := os.WriteFile(p, good, 0o600); err != nil {
				return err
			}
			return os.Chown(p, 12345, -1)
		}, "chown"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "d", "keyring")
			must(t, os.Mkdir(filepath.Dir(path), 0o700))
			err := tc.make(path)
			if os.IsPermission(err) {
				t.Skip("needs root")
			}
			must(t, err)
			// WriteFile's mode is subject to the umask.
			if fi, err := os.Lstat(path); err == nil && fi.Mode().IsRegular() {
				switch name {
				case "group":
					must(t, os.Chmod(path, 0o640))
				case "others":
					must(t, os.Chmod(path, 0o604))
				case "writable":
					must(t, os.Chmod(path, 0o620))
				}
			}
			_, err = OpenKeyring(path)
			if err == nil || !strings.Contains(err.Error(), tc.remedy) || !strings.Contains(err.Error(), filepath.Dir(path)) {
				t.Fatalf("got %v, want %q and the path", err, tc.remedy)
			}
			if strings.Contains(err.Error(), "0123") {
				t.Error("the error shows the secret")
			}
			if _, err := os.Stat(path + ".none"); err == nil {
				t.Error("made through a link")
			}
		})
	}
}

// TestKeyringFingerprint: a fingerprint tells keyrings apart and stays what it is.
func TestKeyringFingerprint(t *testing.T) {
	a, b := keyringOf("abc"), keyringOf("abd")
	if a.Fingerprint() != "ba7816bf" || b.Fingerprint() == a.Fingerprint() || a.Size() != 3 { // FIPS 180-4: SHA-256 of abc
		t.Errorf("%s, %s, %d bytes", a.Fingerprint(), b.Fingerprint(), a.Size())
	}
}

// Whoever prints accounts or a keyring tells no key: neither the keyring's nor what is derived from it.
func TestNothingPrintsKeys(t *testing.T) {
	const key = "0123456789abcdef0123456789abcdef"
	a := newAccounts(t, newStore(t))
	l, err := a.host(testHost).lookup(t.Context(), "alice", "SHA-256")
	must(t, err)
	secrets := [][]byte{[]byte(key), testSecret("accounts"), testSecret("fake-salt"), a.verified.key.Bytes(), l.stored, l.server}
	for _, v := range []any{keyringOf(key), *keyringOf(key), a, a.vault, *a.vault, &a.verified, l.keys} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			got := fmt.Sprintf(verb, v)
			for _, b := range secrets {
				for _, text := range []string{string(b), fmt.Sprintf("%x", b), fmt.Sprint(b), strings.Trim(fmt.Sprintf("%#v", b), "[]byte{}")} {
					if strings.Contains(got, text) {
						t.Errorf("%s of %T prints a key", verb, v)
					}
				}
			}
		}
	}
}
