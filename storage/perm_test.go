//go:build unix

package storage

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// made writes a file or, with a slash at the end of its name, makes a directory, of exactly a mode.
func made(t *testing.T, path string, mode fs.FileMode) string {
	t.Helper()
	var err error
	if dir, ok := strings.CutSuffix(path, "/"); ok {
		path = dir
		err = os.Mkdir(path, 0o700)
	} else {
		err = os.WriteFile(path, []byte("secret"), 0o600)
	}
	if err == nil {
		err = os.Chmod(path, mode)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// says expects an error whose only line, or one of whose lines, has all of the words, and the file's content nowhere.
func says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one with %q", words)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("%q tells what is in the file", err)
	}
next:
	for line := range strings.Lines(err.Error()) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		return
	}
	t.Errorf("no line of %q has all of %q", err, words)
}

func none(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func mode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	fi, err := os.Lstat(path)
	none(t, err)
	if fi.Mode().Perm() != want {
		t.Errorf("%s has mode %v, want %v", path, fi.Mode(), want)
	}
}

// underMask runs fn under umasks that would leave too much or too little.
func underMask(t *testing.T, fn func(dir string)) {
	for _, mask := range []int{0, 0o022, 0o777} {
		dir := t.TempDir()
		old := syscall.Umask(mask)
		func() {
			defer syscall.Umask(old)
			fn(dir)
		}()
	}
}

func TestCheckDir(t *testing.T) {
	underMask(t, func(dir string) {
		path := filepath.Join(dir, "data")
		none(t, CheckDir(path))
		mode(t, path, 0o700)
		none(t, CheckDir(path))
	})
	above := filepath.Join(t.TempDir(), "var", "lib")
	none(t, CheckDir(filepath.Join(above, "xmppd")))
	mode(t, filepath.Join(above, "xmppd"), 0o700)

	t.Chdir(t.TempDir())
	none(t, CheckDir("data")) // as in the example configuration
	mode(t, "data", 0o700)

	dir := t.TempDir()
	for _, m := range []fs.FileMode{0o777, 0o770, 0o755, 0o750, 0o701} {
		path := made(t, filepath.Join(dir, m.String())+"/", m)
		says(t, CheckDir(path), path, "chmod 700 "+path, "others")
		none(t, os.Chmod(path, 0o700))
		none(t, CheckDir(path))
	}
	says(t, CheckDir(made(t, filepath.Join(dir, "file"), 0o600)), "file", "not a directory")
	says(t, CheckDir(filepath.Join(dir, "file", "data")), "file")
	link := filepath.Join(dir, "link")
	none(t, os.Symlink(filepath.Join(dir, "data"), link))
	none(t, CheckDir(filepath.Join(dir, "data")))
	none(t, CheckDir(link)) // data that lies on another disk
}

// TestProbeDir looks without making anything.
func TestProbeDir(t *testing.T) {
	dir := t.TempDir()
	none(t, ProbeDir(filepath.Join(dir, "a", "b", "data")))
	file := made(t, filepath.Join(dir, "file"), 0o600)
	says(t, ProbeDir(file), "not a directory")
	says(t, ProbeDir(filepath.Join(file, "data")), "not a directory")
	says(t, ProbeDir(made(t, filepath.Join(dir, "open")+"/", 0o755)), "0755", "chmod 700")
	says(t, ProbeDir(filepath.Join(made(t, filepath.Join(dir, "all")+"/", 0o777), "data")), "0777", "chmod o-w")
	link := filepath.Join(dir, "link")
	none(t, os.Symlink(filepath.Join(dir, "nothing"), link))
	says(t, ProbeDir(link), "symbolic link to nothing")
	says(t, CheckDir(link), "symbolic link to nothing")
	if os.Geteuid() != 0 { // whom no mode stops; test/ has these as another user
		closed := made(t, filepath.Join(dir, "closed")+"/", 0o500)
		says(t, ProbeDir(closed), "cannot be written", "chmod 700 "+closed)
		says(t, ProbeDir(filepath.Join(closed, "data")), "cannot be made", "install -d -m 700")
	}
	entries, err := os.ReadDir(dir)
	none(t, err)
	for _, e := range entries {
		if e.Name() == "a" || e.Name() == "nothing" {
			t.Errorf("%s was made", e.Name())
		}
	}
}

func TestCheckDirContents(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	none(t, CheckDir(data))
	made(t, filepath.Join(data, "xmppd.db"), 0o600)
	made(t, filepath.Join(data, "keys")+"/", 0o700)
	made(t, filepath.Join(data, "sub")+"/", 0o700)
	l, err := net.Listen("unix", filepath.Join(data, "s"))
	none(t, err)
	defer l.Close()
	none(t, os.Chmod(filepath.Join(data, "s"), 0o600))
	none(t, CheckDir(data))
	bad := map[string]fs.FileMode{"xmppd.db": 0o644, "s": 0o666, "sub": 0o755, "it's": 0o640}
	made(t, filepath.Join(data, "it's"), 0o600)
	for name, m := range bad {
		none(t, os.Chmod(filepath.Join(data, name), m))
	}
	err = CheckDir(data) // all at once
	says(t, err, "file "+data+"/xmppd.db", "0644", "read", "chmod 600 "+data+"/xmppd.db")
	says(t, err, "socket "+data+"/s", "0666", "written", "chmod 600")
	says(t, err, "directory "+data+"/sub", "0755", "chmod 700")
	says(t, err, "it's", `chmod 600 '`+data+`/it'\''s'`)
	if n := strings.Count(err.Error(), "\n") + 1; n != len(bad) {
		t.Errorf("%d lines: %v", n, err)
	}
}

func TestCheckSecretFile(t *testing.T) {
	dir := t.TempDir()
	if err := CheckSecretFile(filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	for name, test := range map[string]struct {
		mode fs.FileMode
		want []string // nil: good
	}{
		"a": {0o600, nil},
		"b": {0o400, nil},
		"c": {0o644, []string{"0644", "read by others", "chmod 600"}},
		"d": {0o640, []string{"0640", "read by others", "chmod 600"}},
		"e": {0o620, []string{"0620", "written by others", "chmod 600"}},
		"f": {0o666, []string{"0666", "written by others", "chmod 600"}},
	} {
		path := made(t, filepath.Join(dir, name), test.mode)
		_, rerr := ReadSecretFile(path, 100)
		for _, err := range []error{CheckSecretFile(path), rerr} {
			if test.want == nil {
				none(t, err)
			} else {
				says(t, err, append(test.want, path)...)
			}
		}
	}
	link := filepath.Join(dir, "link")
	none(t, os.Symlink(filepath.Join(dir, "a"), link))
	dangling := filepath.Join(dir, "dangling")
	none(t, os.Symlink(filepath.Join(dir, "none"), dangling))
	pipe := filepath.Join(dir, "pipe")
	none(t, syscall.Mkfifo(pipe, 0o600))
	for path, what := range map[string]string{link: "symbolic link", dangling: "symbolic link", pipe: "named pipe",
		made(t, filepath.Join(dir, "dir")+"/", 0o700): "directory", "/dev/null": "special file"} {
		_, err := ReadSecretFile(path, 100)
		says(t, err, path, what)
		says(t, CheckSecretFile(path), path, what)
		says(t, WriteSecretFile(path, []byte("x")), path, what)
	}
	none(t, os.Chmod(dir, 0o777))
	path := filepath.Join(dir, "a")
	_, err := ReadSecretFile(path, 100)
	says(t, err, dir, "0777", "chmod o-w "+dir)
	says(t, CheckSecretFile(path), dir, "chmod o-w "+dir)
	says(t, WriteSecretFile(path, []byte("x")), dir, "chmod o-w "+dir)
}

func TestReadSecretFile(t *testing.T) {
	path := made(t, filepath.Join(t.TempDir(), "key"), 0o600)
	for limit, want := range map[int]bool{100: true, 6: true, 5: false} {
		b, err := ReadSecretFile(path, limit)
		if want && (err != nil || string(b) != "secret") || !want && err == nil {
			t.Errorf("limit %d: %q, %v", limit, b, err)
		}
	}
	if _, err := ReadSecretFile(path+"x", 10); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

func TestWriteSecretFile(t *testing.T) {
	underMask(t, func(dir string) {
		path := filepath.Join(dir, "key")
		for _, data := range []string{"one", "", "a longer one"} {
			none(t, WriteSecretFile(path, []byte(data)))
			mode(t, path, 0o600)
			b, err := ReadSecretFile(path, 100)
			if err != nil || string(b) != data {
				t.Errorf("got %q, %v", b, err)
			}
		}
		none(t, os.Chmod(path, 0o644)) // the new file's mode is its own
		none(t, WriteSecretFile(path, []byte("x")))
		mode(t, path, 0o600)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 {
			t.Errorf("left: %v, %v", entries, err)
		}
	})
	says(t, WriteSecretFile(filepath.Join(t.TempDir(), "none", "key"), nil), "none")
	dir := t.TempDir()
	made(t, filepath.Join(dir, "full")+"/", 0o700)
	says(t, WriteSecretFile(filepath.Join(dir, "full"), nil), "directory")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("giving a file to another user needs root")
	}
	dir := t.TempDir()
	data := made(t, filepath.Join(dir, "data")+"/", 0o700)
	path := made(t, filepath.Join(data, "key"), 0o600)
	none(t, os.Chown(path, 54321, 54321))
	says(t, CheckSecretFile(path), path, "54321", "root", "chown -R root "+path)
	says(t, CheckDir(data), path, "54321")
	none(t, os.Chown(path, 0, 0))
	none(t, os.Chown(data, 54321, 54321))
	says(t, CheckDir(data), data, "run it as 54321")
}
