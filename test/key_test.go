package test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

func fingerprint(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}

// keyLine is what `key list -json` says of a key.
type keyLine struct {
	Host, Name, Type, Fingerprint, Previous, File string
	Bytes                                         int
}

func keyList(t testing.TB, s *xtest.Server, args ...string) map[string]keyLine {
	t.Helper()
	var list []keyLine
	cli{asTest(t), s}.json(&list, "", append([]string{"key", "list"}, args...)...)
	out := map[string]keyLine{}
	for _, k := range list {
		out[k.Host+" "+k.Name] = k
	}
	if len(out) != len(list) {
		t.Errorf("a key is listed twice: %v", list)
	}
	return out
}

// TestSeedKeystore starts a server with each of the blocks that MongooseIM's documentation of mod_keystore has, as they are.
func TestSeedKeystore(t *testing.T) {
	for name, tc := range map[string]struct {
		hosts []string
		files map[string]string // by host and name
	}{
		"single_tenant": {[]string{"localhost"}, map[string]string{
			"localhost access_psk": "access_psk", "localhost provision_psk": "provision_psk"}},
		"multi_tenant": {[]string{"first.com", "second.com"}, map[string]string{
			"first.com access_psk": "first_access_psk", "first.com provision_psk": "first_provision_psk",
			"second.com access_psk": "second_access_psk", "second.com provision_psk": "second_provision_psk"}},
		"minimal_auth_token": {[]string{"localhost"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			block, err := os.ReadFile(filepath.Join(xtest.Root(), "testdata", "config", "good", name+".toml"))
			must(t, err)
			o := xtest.Options{Hosts: tc.hosts, Extra: string(block), NoStart: true}
			s := xtest.New(t, o)
			want := map[string]string{}
			for id, file := range tc.files {
				key := randomKey()
				priv(t, s, file, key)
				want[id] = fingerprint(key)
			}
			s.Start(o)
			if strings.Contains(s.Log(), "no effect") && strings.Contains(s.Log(), "mod_keystore") {
				t.Errorf("the section has no effect: %s", s.Log())
			}
			keys := keyList(t, s)
			ram := map[string]string{"single_tenant": "access_secret", "multi_tenant": "access_secret", "minimal_auth_token": "token_secret"}[name]
			seen := map[string]bool{}
			for _, host := range tc.hosts {
				k := keys[host+" "+ram]
				if k.Type != "ram" || k.Bytes != 2048 || len(k.Fingerprint) != 8 || seen[k.Fingerprint] || k.File != "" {
					t.Errorf("%s: %+v", host, k)
				}
				seen[k.Fingerprint] = true
			}
			for id, print := range want {
				if k := keys[id]; k.Type != "file" || k.Fingerprint != print || k.Bytes != 52 || !strings.HasPrefix(k.File, s.Dir) {
					t.Errorf("%s: %+v, wanted fingerprint %s", id, k, print)
				}
			}
			if n := len(tc.hosts) + len(want) + 1; len(keys) != n || keys[" server"].Bytes != 32 {
				t.Errorf("%d keys, wanted %d with the server's own: %+v", len(keys), n, keys)
			}
		})
	}
}

// TestKeyCommand: what it lists, what a rotation does to tokens, and that it never shows a key.
func TestKeyCommand(t *testing.T) {
	o := xtest.Options{Hosts: []string{"localhost", "b.test"}, Limits: `profile = "off"`, NoStart: true, Extra: `[modules.mod_keystore]
keys = [{name = "token_secret", type = "ram"},
        {name = "provision_pre_shared", type = "file", path = "priv/psk", shared = true}]
[modules.mod_auth_token]
`}
	s := xtest.New(t, o)
	first, second := randomKey(), randomKey()
	path := priv(t, s, "psk", first)
	s.Start(o)
	s.AddUsers("alice@localhost")
	c := cli{t, s}
	shown := ""
	list := func(args ...string) string {
		out := c.ok("", append([]string{"key", "list"}, args...)...) + c.ok("", append([]string{"key", "list", "-json"}, args...)...)
		shown += out
		return out
	}
	out := list()
	for _, want := range []string{"HOST", "(all)", "server.key", "token_secret", "2048", "provision_pre_shared", fingerprint(first), path, "b.test"} {
		if !strings.Contains(out, want) {
			t.Errorf("key list does not show %q:\n%s", want, out)
		}
	}
	if out := list("b.test"); strings.Contains(out, "localhost") || strings.Contains(out, "server.key") || !strings.Contains(out, "token_secret") {
		t.Errorf("key list b.test:\n%s", out)
	}
	c.fails("", []string{"key", "list", "c.test"}, "c.test is not one of this server's hosts")
	c.fails("", []string{"key", "rotate", "nonsense"}, `no key "nonsense"`, "key list")
	c.fails("", []string{"key", "rotate", "server"}, "not rotated")
	c.fails("", []string{"key", "rotate", "token_secret", "c.test"}, "c.test")
	if out, errs, code := s.Run("", "key", "rotate", "provision_pre_shared", "localhost"); code != 1 || out != "" || !strings.Contains(errs, "same key as before") || !strings.Contains(errs, path) {
		t.Errorf("nothing new in the file: exit %d\n%s%s", code, out, errs)
	}

	alice := s.Login(t, "alice@localhost/x")
	access, refresh := askTokens(alice)
	before := keyList(t, s)
	shown += c.ok("", "key", "rotate", "token_secret", "localhost")
	after := keyList(t, s)
	if k := after["localhost token_secret"]; k.Previous != before["localhost token_secret"].Fingerprint || k.Fingerprint == k.Previous {
		t.Errorf("rotated: %+v, before %+v", k, before["localhost token_secret"])
	}
	if after["b.test token_secret"] != before["b.test token_secret"] {
		t.Error("the other host's key changed too")
	}
	enter(t, s, "alice@localhost/a", "X-OAUTH", access)
	_, fresh := enter(t, s, "alice@localhost/b", "X-OAUTH", refresh)
	shown += c.ok("", "key", "rotate", "token_secret")
	if keyList(t, s)["b.test token_secret"].Previous != before["b.test token_secret"].Fingerprint {
		t.Error("without a host it is not rotated everywhere")
	}
	refuse(t, s, "localhost", "X-OAUTH", access, "not-authorized")
	refuse(t, s, "localhost", "X-OAUTH", refresh, "not-authorized")
	enter(t, s, "alice@localhost/c", "X-OAUTH", fresh)

	put(t, path, second, 0o600)
	shown += c.ok("", "key", "rotate", "provision_pre_shared")
	for _, host := range []string{"localhost", "b.test"} {
		if k := keyList(t, s)[host+" provision_pre_shared"]; k.Fingerprint != fingerprint(second) || k.Previous != fingerprint(first) {
			t.Errorf("%s: %+v", host, k)
		}
	}
	for _, key := range [][]byte{first, second} {
		enter(t, s, "alice@localhost/p", "X-OAUTH", sign(key, "provision", "alice@localhost", expiry(time.Hour), "<vCard xmlns='vcard-temp'/>"))
	}
	put(t, path, []byte("short"), 0o600)
	if out, errs, code := s.Run("", "key", "rotate", "provision_pre_shared", "b.test"); code != 1 || out != "" || !strings.Contains(errs, "5 bytes") {
		t.Errorf("a bad file: exit %d\n%s%s", code, out, errs)
	}
	third := randomKey()
	put(t, path, third, 0o600)
	shown += c.ok("", "key", "rotate", "provision_pre_shared", "localhost")
	if out, errs, code := s.Run("", "key", "rotate", "provision_pre_shared"); code != 1 || out != "" || !strings.Contains(errs, "localhost: ") ||
		!strings.Contains(errs, "same key as before") || !strings.Contains(errs, "rotated on b.test: ") {
		t.Errorf("rotated on one of two hosts: exit %d\n%s%s", code, out, errs)
	}
	if k := keyList(t, s)["b.test provision_pre_shared"]; k.Fingerprint != fingerprint(third) {
		t.Errorf("b.test: %+v", k)
	}
	put(t, path, second, 0o600)

	// Without a server there are no keys in memory, and there is nothing to rotate.
	must(t, s.Stop())
	if out := list(); !strings.Contains(out, "made at the start") || !strings.Contains(out, fingerprint(second)) || strings.Contains(out, "2048") {
		t.Errorf("key list without a server:\n%s", out)
	}
	c.fails("", []string{"key", "rotate", "token_secret"}, "no server is running")
	keyring, err := os.ReadFile(filepath.Join(s.Dir, "data", "server.key"))
	must(t, err)
	for what, key := range map[string][]byte{"first": first, "second": second, "third": third, "keyring": keyring} {
		for _, text := range []string{string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key)} {
			if strings.Contains(shown, text[:16]) || strings.Contains(s.Log(), text[:16]) {
				t.Errorf("the %s key is shown, or in the log", what)
			}
		}
	}
	for _, line := range []string{"key ready", "key rotated", "by\":\"admin"} {
		if !strings.Contains(s.Log(), line) {
			t.Errorf("the log has no %q", line)
		}
	}
}

// TestKeyFiles is K33: the server does not start with a key file that somebody else could have read or changed, or that is
// none, and says which; `xmppd check files` says the same.
func TestKeyFiles(t *testing.T) {
	key := randomKey()
	for name, spoil := range map[string]func(t *testing.T, path string){
		"K33 mode 0644":      func(t *testing.T, path string) { must(t, os.Chmod(path, 0o644)) },
		"K33 mode 0640":      func(t *testing.T, path string) { must(t, os.Chmod(path, 0o640)) },
		"K33 missing":        func(t *testing.T, path string) { must(t, os.Remove(path)) },
		"K33 empty":          func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
		"K33 short":          func(t *testing.T, path string) { must(t, os.Truncate(path, 31)) },
		"K33 long":           func(t *testing.T, path string) { must(t, os.Truncate(path, 4097)) },
		"K33 open directory": func(t *testing.T, path string) { must(t, os.Chmod(filepath.Dir(path), 0o777)) },
		"K33 directory":      func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, os.Mkdir(path, 0o700)) },
		"K33 FIFO":           func(t *testing.T, path string) { must(t, os.Remove(path)); must(t, syscall.Mkfifo(path, 0o600)) },
		"K33 symbolic link": func(t *testing.T, path string) {
			must(t, os.Rename(path, path+"2"))
			must(t, os.Symlink(path+"2", path))
		},
		"K33 of another user": func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files away")
			}
			must(t, os.Chown(path, 12345, -1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := xtest.New(t, xtest.Options{Extra: "[modules.mod_keystore]\nkeys = [{name = \"psk\", type = \"file\", path = \"priv/psk\"}]\n", NoStart: true})
			path := priv(t, s, "psk", key)
			spoil(t, path)
			told, code, ready := s.Serve(t, nil)
			if ready || code != 1 || !strings.Contains(told, filepath.Dir(path)) || !strings.Contains(told, `key "psk"`) {
				t.Errorf("ready %v, exit %d\n%s", ready, code, told)
			}
			if strings.Contains(told, string(key[:8])) {
				t.Errorf("repeats the content: %s", told)
			}
			if _, err := os.Stat(filepath.Join(s.Dir, "data")); err == nil {
				t.Error("a start that failed made its data directory")
			}
			out, _, code := s.Run("", "check", "files")
			if code != 1 || !strings.Contains(out, "BAD") || !strings.Contains(out, filepath.Dir(path)) {
				t.Errorf("check files: exit %d\n%s", code, out)
			}
		})
	}
	t.Run("two hosts", func(t *testing.T) {
		s := xtest.New(t, xtest.Options{Hosts: []string{"first.com", "second.com"}, NoStart: true,
			Extra: "[modules.mod_keystore]\nkeys = [{name = \"psk\", type = \"file\", path = \"priv/psk\"}]\n"})
		priv(t, s, "psk", key)
		told, code, ready := s.Serve(t, nil)
		if ready || code != 1 || !strings.Contains(told, "first.com and second.com") || !strings.Contains(told, "shared = true") || !strings.Contains(told, "config.toml:") {
			t.Errorf("ready %v, exit %d\n%s", ready, code, told)
		}
	})
}
