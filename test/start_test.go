package test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// issued is a certificate of a test, with its key.
type issued struct{ crt, key []byte }

// issue makes a self-signed certificate.
func issue(t testing.TB, bits int, change func(*x509.Certificate), hosts ...string) issued {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"}, DNSNames: hosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
	}
	if change != nil {
		change(c)
	}
	var key any
	var public any
	if bits > 0 {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, k.Public()
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		key, public = k, k.Public()
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, public, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return issued{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})}
}

// put writes a file, with the mode it is to have.
func put(t testing.TB, path string, data []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

// soon takes what comes from a channel.
func soon[T any](t testing.TB, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-time.After(2 * xtest.Wait): // longer than what it may wait for itself
		t.Fatal("nothing came")
	}
	return v
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// badStart is a start that must be refused.
type badStart struct {
	name string
	o    xtest.Options
	used bool // the server has run there before, and has an account
	// prepare breaks something and returns what the message must say, and as whom to start (nil: as oneself).
	prepare func(t *testing.T, s *xtest.Server) (says []string, as *syscall.SysProcAttr)
	unseen  bool // by `xmppd check`: it opens neither ports nor databases
	lines   int  // how many mistakes are told; 0: one
}

func (b badStart) run(t *testing.T) {
	o := b.o
	o.NoStart = true
	s := xtest.New(t, o)
	if b.used {
		if out, errs, code := s.Run("secret word\n", "user", "add", "alice@"+s.Hosts[0]); code != 0 {
			t.Fatalf("user add: %s%s", out, errs)
		}
	}
	says, as := b.prepare(t, s)
	before := xtest.Listing(t, s.Dir)
	told, code, ready := s.Serve(t, as)
	if ready || code != 1 {
		t.Fatalf("ready %v, exit %d, wanted a refusal with exit 1\n%s", ready, code, told)
	}
	if after := xtest.Listing(t, s.Dir); after != before {
		t.Errorf("the start changed the disk from\n%sto\n%s", before, after)
	}
	lines := strings.Split(strings.TrimRight(told, "\n"), "\n")
	if len(lines) != max(1, b.lines) {
		t.Errorf("%d lines, wanted %d:\n%s", len(lines), max(1, b.lines), told)
	}
	for _, w := range says {
		if !strings.Contains(told, w) {
			t.Errorf("does not say %q:\n%s", w, told)
		}
	}
	for _, w := range []string{"goroutine", "panic", "0x", "secret word", `{"time"`} {
		if strings.Contains(told, w) {
			t.Errorf("says %q:\n%s", w, told)
		}
	}

	// O02: what checks says is what a start says.
	out, errs, code := xtest.XmppdAs(t, as, nil, "", "", "check", "-config", s.Config)
	if b.unseen {
		if code != 0 {
			t.Errorf("check found something else: %s%s", out, errs)
		}
		return
	}
	if code != 1 {
		t.Errorf("check exits with %d, a start with 1\n%s%s", code, out, errs)
	}
	for _, l := range lines {
		if l = strings.TrimPrefix(l, "xmppd serve: "); !strings.Contains(out+errs, l) {
			t.Errorf("check does not say %q but\n%s%s", l, out, errs)
		}
	}
	if after := xtest.Listing(t, s.Dir); after != before {
		t.Errorf("check changed the disk from\n%sto\n%s", before, after)
	}
}

// host is the one host of those servers that have a certificate of their own.
const ownHost = "a.test"

// withPair is a server with a certificate for a.test, which the function breaks.
func withPair(name string, says []string, spoil func(t *testing.T, crt, key string)) badStart {
	return badStart{name: name, o: xtest.Options{Hosts: []string{ownHost}, TLS: `certificates = "certs"`},
		prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			crt, key := filepath.Join(s.Dir, "certs", ownHost+".crt"), filepath.Join(s.Dir, "certs", ownHost+".key")
			pair := issue(t, 0, nil, ownHost)
			put(t, crt, pair.crt, 0o644)
			put(t, key, pair.key, 0o600)
			spoil(t, crt, key)
			return append([]string{ownHost}, says...), nil
		}}
}

// reissue puts another pair in the place of the right one.
func reissue(bits int, change func(*x509.Certificate), hosts ...string) func(t *testing.T, crt, key string) {
	return func(t *testing.T, crt, key string) {
		pair := issue(t, bits, change, hosts...)
		put(t, crt, pair.crt, 0o644)
		put(t, key, pair.key, 0o600)
	}
}

// inData breaks something in the data directory of a server that has run before.
func inData(name string, says []string, spoil func(t *testing.T, data string)) badStart {
	return badStart{name: name, used: true, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
		spoil(t, filepath.Join(s.Dir, "data"))
		return says, nil
	}}
}

func mode(name string, m os.FileMode) func(t *testing.T, data string) {
	return func(t *testing.T, data string) { must(t, os.Chmod(filepath.Join(data, name), m)) }
}

// TestBadStart has starts that must fail: each says in one line what to do, exits with 1, leaves the disk as it was, and
// `xmppd check` says the same (O02).
func TestBadStart(t *testing.T) {
	var ports []string
	for range 2 {
		busy, err := net.Listen("tcp", "127.0.0.1:0")
		must(t, err)
		defer busy.Close()
		ports = append(ports, busy.Addr().String())
	}

	for _, b := range []badStart{
		withPair("O02 T13 key of another certificate", []string{"does not belong", ".key"}, func(t *testing.T, crt, key string) {
			put(t, key, issue(t, 0, nil, ownHost).key, 0o600)
		}),
		withPair("O02 T13 expired certificate", []string{"expired on", "renew", ".crt"}, reissue(0, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
		}, ownHost)),
		withPair("O02 certificate not valid yet", []string{"not valid before", ".crt", "clock"}, reissue(0, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(24*time.Hour), time.Now().Add(48*time.Hour)
		}, ownHost)),
		withPair("O02 T13 certificate of another host", []string{"does not cover", "b.test", ".crt"}, reissue(0, nil, "b.test")),
		withPair("O02 certificate that names nobody", []string{"names no host", ".crt"}, reissue(0, nil)),
		withPair("O02 weak key", []string{"1024", "2048"}, reissue(1024, nil, ownHost)),
		withPair("O02 certificate that is none", []string{".crt"}, func(t *testing.T, crt, key string) { put(t, crt, []byte("hello\n"), 0o644) }),
		withPair("O02 key that is none", []string{"a.test"}, func(t *testing.T, crt, key string) { put(t, key, []byte("hello\n"), 0o600) }),
		withPair("O02 T13 no key", []string{".key", "no such file"}, func(t *testing.T, crt, key string) { must(t, os.Remove(key)) }),
		withPair("O02 no certificate for the key", []string{".crt", "no such file"}, func(t *testing.T, crt, key string) { must(t, os.Remove(crt)) }),
		withPair("O02 key that others can read", []string{"0644", "chmod 600"}, func(t *testing.T, crt, key string) { must(t, os.Chmod(key, 0o644)) }),
		withPair("O02 key that is a directory", []string{".key", "not a regular file"}, func(t *testing.T, crt, key string) {
			must(t, os.Remove(key))
			must(t, os.Mkdir(key, 0o700))
		}),
		withPair("O02 key with a passphrase", []string{"passphrase", "openssl"}, func(t *testing.T, crt, key string) {
			put(t, key, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")}), 0o600)
		}),
		{name: "O02 no certificate and none to be made", o: xtest.Options{Hosts: []string{ownHost}, TLS: "self_signed = false"},
			prepare: func(*testing.T, *xtest.Server) ([]string, *syscall.SysProcAttr) {
				return []string{"a.test.crt", "self_signed"}, nil
			}},
		{name: "O02 two hosts, two mistakes", o: xtest.Options{Hosts: []string{"a.test", "b.test"}, TLS: "self_signed = false"}, lines: 2,
			prepare: func(*testing.T, *xtest.Server) ([]string, *syscall.SysProcAttr) {
				return []string{"a.test.crt", "b.test.crt"}, nil
			}},
		{name: "O02 parameters that are none", o: xtest.Options{TLS: `dhparam = "dh.pem"`}, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			put(t, filepath.Join(s.Dir, "dh.pem"), []byte("hello\n"), 0o600)
			return []string{"tls.dhparam", "dh.pem"}, nil
		}},

		{name: "O01 port in use", unseen: true, o: xtest.Options{}, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			edit(t, s, `listen = ["127.0.0.1:0"]`, `listen = ["`+ports[0]+`"]`)
			return []string{"c2s.listen", ports[0], "in use", "ss -ltnp"}, nil
		}},
		{name: "O01 both ports in use", unseen: true, used: true, lines: 2, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			edit(t, s, `listen = ["127.0.0.1:0"]`, `listen = ["`+ports[0]+`"]`)
			edit(t, s, `listen_tls = ["127.0.0.1:0"]`, `listen_tls = ["`+ports[1]+`"]`)
			return []string{"c2s.listen:", "c2s.listen_tls:", "in use"}, nil
		}},
		{name: "O01 address of another machine", unseen: true, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			edit(t, s, `listen = ["127.0.0.1:0"]`, `listen = ["192.0.2.1:5222"]`)
			return []string{"c2s.listen", "192.0.2.1:5222", "no address"}, nil
		}},

		{name: "O01 data directory is a file", prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			put(t, filepath.Join(s.Dir, "data"), []byte("x"), 0o600)
			return []string{"data directory", "not a directory", "data_dir"}, nil
		}},
		{name: "O01 data directory below a file", prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			put(t, filepath.Join(s.Dir, "file"), []byte("x"), 0o600)
			edit(t, s, `data_dir = "data"`, `data_dir = "file/data"`)
			return []string{"data directory", "not a directory"}, nil
		}},
		{name: "O01 data directory cannot be made", prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			as := xtest.Unprivileged(t, s.Dir, s.Config)
			must(t, os.Chmod(s.Dir, 0o500))
			t.Cleanup(func() { os.Chmod(s.Dir, 0o700) })
			return []string{"data directory", "cannot be made", "install -d -m 700"}, as
		}},
		{name: "O01 data directory cannot be written", used: true, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			data := filepath.Join(s.Dir, "data")
			as := xtest.Unprivileged(t, append([]string{s.Dir, s.Config}, inside(t, data)...)...)
			must(t, os.Chmod(data, 0o500))
			t.Cleanup(func() { os.Chmod(data, 0o700) })
			return []string{"data directory", "0500", "cannot be written", "chmod 700"}, as
		}},
		{name: "O01 data directory of another user", used: true, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			if os.Geteuid() != 0 {
				t.Skip("needs root, to give the directory away")
			}
			must(t, os.Chown(filepath.Join(s.Dir, "data"), xtest.Nobody, xtest.Nobody))
			return []string{"data", "nobody", "chown"}, nil
		}},
		{name: "D05 data directory on a read-only file system", prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			data := filepath.Join(s.Dir, "data")
			xtest.Tmpfs(t, data, "size=1m,mode=700")
			must(t, xtest.Mount(data, "remount,ro"))
			return []string{"data directory", "read-only"}, nil
		}},
		inData("O03 data directory that others can enter", []string{"0755", "chmod 700"}, mode("", 0o755)),
		inData("O03 data directory that a group can enter", []string{"0750", "chmod 700"}, mode("", 0o750)),
		inData("O03 database that others can read", []string{"xmppd.db", "0644", "chmod 600"}, mode("xmppd.db", 0o644)),
		inData("O03 journal that others can read", []string{"xmppd.db.journal2", "0644", "chmod 600"}, func(t *testing.T, data string) {
			put(t, filepath.Join(data, "xmppd.db.journal2"), nil, 0o644)
		}),
		inData("O03 keyring that others can read", []string{"server.key", "0640", "chmod 600"}, mode("server.key", 0o640)),
		inData("O03 keyring that is a link", []string{"server.key", "symbolic link"}, func(t *testing.T, data string) {
			key := filepath.Join(data, "server.key")
			must(t, os.Rename(key, key+".real"))
			must(t, os.Symlink(key+".real", key))
		}),
		inData("O01 keyring cut short", []string{"server.key", "backup"}, func(t *testing.T, data string) {
			must(t, os.Truncate(filepath.Join(data, "server.key"), 16))
		}),
		inData("O01 keyring empty", []string{"server.key", "backup"}, func(t *testing.T, data string) {
			must(t, os.Truncate(filepath.Join(data, "server.key"), 0))
		}),
		{name: "O03 parent that everybody can write", used: true, prepare: func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
			must(t, os.Chmod(s.Dir, 0o777))
			return []string{"0777", "chmod o-w"}, nil
		}},
		{name: "D09 database is empty", used: true, unseen: true, prepare: spoilDB(func(t *testing.T, db string) { must(t, os.Truncate(db, 0)) }, "empty")},
		{name: "D09 database cut short", used: true, unseen: true, prepare: spoilDB(func(t *testing.T, db string) { must(t, os.Truncate(db, 9000)) }, "cut short")},
		{name: "D09 database of another program", used: true, unseen: true, prepare: spoilDB(func(t *testing.T, db string) {
			put(t, db, bytes.Repeat([]byte("SQLite format 3\x00"), 4096), 0o600)
		}, "another program")},
	} {
		t.Run(b.name, b.run)
	}
}

// spoilDB breaks the database (D09).
func spoilDB(spoil func(t *testing.T, db string), word string) func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
	return func(t *testing.T, s *xtest.Server) ([]string, *syscall.SysProcAttr) {
		db := filepath.Join(s.Dir, "data", "xmppd.db")
		spoil(t, db)
		return []string{db, word, "backup"}, nil
	}
}

// edit replaces a part of the configuration.
func edit(t testing.TB, s *xtest.Server, old, new string) {
	t.Helper()
	text, err := os.ReadFile(s.Config)
	must(t, err)
	if !bytes.Contains(text, []byte(old)) {
		t.Fatalf("the configuration has no %q:\n%s", old, text)
	}
	must(t, os.WriteFile(s.Config, bytes.Replace(text, []byte(old), []byte(new), 1), 0o600))
}

// inside lists a directory and all that is in it.
func inside(t testing.TB, dir string) []string {
	t.Helper()
	out := []string{dir}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, inside(t, filepath.Join(dir, e.Name()))...)
		} else {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// TestBadConfig starts the server with each file that is known to be bad.
func TestBadConfig(t *testing.T) {
	bad, err := filepath.Glob(filepath.Join(xtest.Root(), "testdata", "config", "bad", "*.toml"))
	if err != nil || len(bad) < 30 {
		t.Fatalf("%d bad files, %v", len(bad), err)
	}
	for _, file := range bad {
		t.Run("O01 O02 "+strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			// A copy, so that a directory of data that a mistaken start makes does not lie in the repository.
			dir := t.TempDir()
			text, err := os.ReadFile(file)
			must(t, err)
			path := filepath.Join(dir, filepath.Base(file))
			put(t, path, text, 0o600)
			before := xtest.Listing(t, dir)
			s := &xtest.Server{Config: path}
			told, code, ready := s.Serve(t, nil)
			if ready || code != 1 {
				t.Fatalf("ready %v, exit %d\n%s", ready, code, told)
			}
			wanted, err := os.ReadFile(strings.TrimSuffix(file, ".toml") + ".want")
			must(t, err)
			got := strings.ReplaceAll(strings.ReplaceAll(told, path, filepath.Base(file)), dir, "DIR")
			if got != string(wanted) {
				t.Errorf("says\n%swanted\n%s", got, wanted)
			}
			for _, check := range [][]string{{"check"}, {"check", "config"}} {
				out, errs, code := xtest.Xmppd(t, "", append(check, "-config", path)...)
				if code != 1 || errs != told || out != "" {
					t.Errorf("%v: exit %d\n%s%s", check, code, out, errs)
				}
			}
			if after := xtest.Listing(t, dir); after != before {
				t.Errorf("changed the disk from\n%sto\n%s", before, after)
			}
		})
	}
}

// TestNoConfig: what is said when there is no configuration to be read.
func TestNoConfig(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "config.toml")
	run := func(t *testing.T, as *syscall.SysProcAttr, env []string, args []string, says ...string) {
		t.Helper()
		for _, command := range [][]string{{"serve"}, {"check"}, {"user", "list"}, {"session", "list"}, {"modules"}, {"reload"}} {
			out, errs, code := xtest.XmppdAs(t, as, env, dir, "", append(command, args...)...)
			if code != 1 || out != "" || strings.Count(errs, "\n") != 1 {
				t.Errorf("%v: exit %d\n%s%s", command, code, out, errs)
			}
			for _, w := range says {
				if !strings.Contains(errs, w) {
					t.Errorf("%v does not say %q: %s", command, w, errs)
				}
			}
		}
	}
	none := []string{"XMPPD_CONFIG="}
	t.Run("O01 nowhere", func(t *testing.T) {
		if _, err := os.Stat("/etc/xmppd/config.toml"); err == nil {
			t.Skip("this machine has an /etc/xmppd/config.toml")
		}
		run(t, nil, none, nil, "-config", "XMPPD_CONFIG", "config.toml", "/etc/xmppd/config.toml", "config.example.toml")
	})
	t.Run("O01 no such file", func(t *testing.T) {
		run(t, nil, none, []string{"-config", "nowhere.toml"}, "nowhere.toml", "no such file")
		run(t, nil, []string{"XMPPD_CONFIG=elsewhere.toml"}, nil, "elsewhere.toml", "no such file")
	})
	t.Run("O01 directory", func(t *testing.T) { run(t, nil, none, []string{"-config", dir}, dir, "directory") })
	t.Run("O01 not readable", func(t *testing.T) {
		put(t, file, nil, 0o000)
		as := xtest.Unprivileged(t, dir)
		run(t, as, none, nil, "config.toml", "may not read")
		must(t, os.Remove(file))
	})
}
