package keystore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
)

// host starts a keystore with a section, beside which a further module may be listed.
func host(t *testing.T, toml string, before ...modules.Info) (*modtest.Host, Service) {
	t.Helper()
	h := modtest.NewConfig(t, "a.test", toml, append(before, Info)...)
	return h, service(t, h)
}

func service(t *testing.T, h *modtest.Host) Service {
	t.Helper()
	s, ok := modules.ServiceOf[Service](h.Loader, "a.test")
	if !ok {
		t.Fatal("no service")
	}
	return s
}

// key writes a key file and returns its path.
func key(t *testing.T, data []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func get(t *testing.T, s Service, name string) []byte {
	t.Helper()
	k, err := s.GetKey(name)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func rotate(t *testing.T, s Service, name string) Key {
	t.Helper()
	d, err := s.Rotate(name, "a test")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

const ram = "[modules.mod_keystore]\nkeys = [{name = \"k\", type = \"ram\"}]\n"

func section2(size int, keys string) string {
	return fmt.Sprintf("[modules.mod_keystore]\nram_key_size = %d\nkeys = [%s]\n", size, keys)
}

func TestRAM(t *testing.T) {
	_, s := host(t, ram)
	k := get(t, s, "k")
	if len(k) != 2048 || bytes.Equal(k, make([]byte, 2048)) {
		t.Errorf("%d bytes", len(k))
	}
	if again := get(t, s, "k"); !bytes.Equal(k, again) {
		t.Error("another key the second time")
	}
	_, other := host(t, ram)
	if bytes.Equal(k, get(t, other, "k")) {
		t.Error("two servers have the same key")
	}
	_, s = host(t, section2(32, `{name = "k", type = "ram"}`))
	if len(get(t, s, "k")) != 32 {
		t.Error("ram_key_size has no effect")
	}
	if _, err := s.GetKey("other"); !errors.Is(err, ErrNoKey) || !strings.Contains(err.Error(), "other") {
		t.Errorf("a key that nobody named: %v", err)
	}
	if _, err := s.Rotate("other", "a test"); !errors.Is(err, ErrNoKey) {
		t.Errorf("rotation of a key that nobody named: %v", err)
	}
}

// K35: a key of type ram is never on disk. All that a module can write to is its store, and this one works without any.
func TestRAMKeyIsNotStored(t *testing.T) {
	cfg, err := config.Parse("f", []byte("[general]\nhosts = [\"a.test\"]\n"+ram), []config.Section{Info.Section})
	if err != nil {
		t.Fatal(err)
	}
	l := modules.NewLoader([]modules.Info{Info}, modules.Env{Store: nil})
	if err := l.Load(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	s, _ := modules.ServiceOf[Service](l, "a.test")
	first := get(t, s, "k")
	rotate(t, s, "k")
	if bytes.Equal(first, get(t, s, "k")) {
		t.Error("not rotated")
	}
}

// Two hosts that inherit a key of type ram from the same section have different ones.
func TestHostsShareNoRAMKey(t *testing.T) {
	cfg, err := config.Parse("f", []byte("[general]\nhosts = [\"a.test\", \"b.test\"]\n"+ram), []config.Section{Info.Section})
	if err != nil {
		t.Fatal(err)
	}
	l := modules.NewLoader([]modules.Info{Info}, modules.Env{})
	if err := l.Load(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	a, _ := modules.ServiceOf[Service](l, "a.test")
	b, _ := modules.ServiceOf[Service](l, "b.test")
	if bytes.Equal(get(t, a, "k"), get(t, b, "k")) {
		t.Error("two hosts have the same key")
	}
}

func TestRotateRAM(t *testing.T) {
	h, s := host(t, ram)
	first := get(t, s, "k")
	if k, _ := s.Keys("k"); k.Previous != nil || len(k.Each()) != 1 {
		t.Error("a previous key from the start")
	}
	d := rotate(t, s, "k")
	second := get(t, s, "k")
	k, _ := s.Keys("k")
	if bytes.Equal(first, second) || !bytes.Equal(k.Previous, first) || !bytes.Equal(k.Current, second) || len(k.Each()) != 2 {
		t.Error("the old key is not the previous one")
	}
	if d.Fingerprint != Fingerprint(second) || d.Previous != Fingerprint(first) || d.Size != 2048 {
		t.Errorf("described as %+v", d)
	}
	rotate(t, s, "k")
	if k, _ := s.Keys("k"); !bytes.Equal(k.Previous, second) {
		t.Error("the first key is still there after two rotations")
	}
	for _, key := range [][]byte{first, second} {
		for _, text := range []string{string(key), fmt.Sprintf("%x", key), fmt.Sprint(key), fmt.Sprintf("%q", key)} {
			if strings.Contains(h.Log(), text) {
				t.Error("a key is in the log")
			}
		}
	}
	if !strings.Contains(h.Log(), "key rotated") || !strings.Contains(h.Log(), Fingerprint(second)) || !strings.Contains(h.Log(), `by="a test"`) {
		t.Errorf("the log does not tell of it: %s", h.Log())
	}
}

// A reload that does not change a key keeps it, with its previous one; what comes back is what was there.
func TestReload(t *testing.T) {
	h, s := host(t, ram)
	first := get(t, s, "k")
	rotate(t, s, "k")
	want, _ := s.Keys("k")
	path := key(t, bytes.Repeat([]byte("f"), 40), 0o600)
	file := fmt.Sprintf(`{name = "f", type = "file", path = %q}`, path)
	for _, step := range []struct{ what, toml string }{
		{"another key beside it", section2(2048, `{name = "k", type = "ram"}, {name = "x", type = "ram"}, `+file)},
		{"another size", section2(64, `{name = "x", type = "ram"}, {name = "k", type = "ram"}`)},
		{"without it", section2(64, `{name = "x", type = "ram"}`)},
		{"as it was", ram},
	} {
		if err := h.Reload(step.toml); err != nil {
			t.Fatal(step.what, err)
		}
		s := service(t, h)
		if step.what == "without it" {
			if _, err := s.GetKey("k"); !errors.Is(err, ErrNoKey) {
				t.Errorf("it is still there: %v", err)
			}
			continue
		}
		if got, err := s.Keys("k"); err != nil || !bytes.Equal(got.Current, want.Current) || !bytes.Equal(got.Previous, first) {
			t.Errorf("%s: the key changed", step.what)
		}
	}
	// A file that cannot be read refuses the reload, and all stays as it was.
	if err := h.Reload(section2(2048, `{name = "new", type = "ram"}, {name = "f", type = "file", path = "/no/such/key"}`)); err == nil || !strings.Contains(err.Error(), "/no/such/key") {
		t.Errorf("a missing file: %v", err)
	}
	if got, err := service(t, h).Keys("k"); err != nil || !bytes.Equal(got.Current, want.Current) {
		t.Error("a reload that failed changed a key")
	}
	if _, err := service(t, h).GetKey("new"); !errors.Is(err, ErrNoKey) {
		t.Error("a reload that failed made a key")
	}
}

// K34: raw bytes, with the line feed at the end where there is one, and a word about that.
func TestFile(t *testing.T) {
	raw := []byte("\x00\xff binary \n and thirty-two bytes or more")
	for name, tc := range map[string]struct {
		data   []byte
		notice bool
	}{
		"K34 binary":    {raw, false},
		"K34 line feed": {append(bytes.Clone(raw), '\n'), true},
		"smallest":      {bytes.Repeat([]byte("x"), 32), false},
		"largest":       {bytes.Repeat([]byte("x"), 4096), false},
	} {
		t.Run(name, func(t *testing.T) {
			path := key(t, tc.data, 0o600)
			h, s := host(t, section2(2048, fmt.Sprintf(`{name = "f", type = "file", path = %q}`, path)))
			if got := get(t, s, "f"); !bytes.Equal(got, tc.data) {
				t.Errorf("%d bytes of %d", len(got), len(tc.data))
			}
			if strings.Contains(h.Log(), "line feed") != tc.notice {
				t.Errorf("the notice: %s", h.Log())
			}
			list, err := s.List()
			if err != nil || len(list) != 1 || list[0] != (Key{"f", "file", path, len(tc.data), Fingerprint(tc.data), ""}) {
				t.Errorf("%+v, %v", list, err)
			}
		})
	}
}

// A relative path is relative to the configuration, not to the directory that the server was started in.
func TestRelativePath(t *testing.T) {
	path := key(t, bytes.Repeat([]byte("r"), 32), 0o600)
	dir := filepath.Dir(path)
	cfg, err := config.Parse(filepath.Join(dir, "config.toml"), []byte(section2(2048, `{name = "f", type = "file", path = "key"}`)), []config.Section{Info.Section})
	if err != nil {
		t.Fatal(err)
	}
	l := modules.NewLoader([]modules.Info{Info}, modules.Env{})
	if err := l.Load(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// K33: what anybody else could have read or written, and what is no key, is refused with its path and without its content.
func TestBadFiles(t *testing.T) {
	const secret = "do not repeat these thirty-two bytes!"
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	inOpen := filepath.Join(open, "key")
	if err := os.WriteFile(inOpen, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(key(t, []byte(secret), 0o600), link); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ path, says string }{
		"K33 FIFO":              {fifo, "named pipe"},
		"K33 readable by all":   {key(t, []byte(secret), 0o644), "chmod 600"},
		"K33 readable by group": {key(t, []byte(secret), 0o640), "chmod 600"},
		"K33 written by group":  {key(t, []byte(secret), 0o620), "chmod 600"},
		"K33 symbolic link":     {link, "symbolic link"},
		"K33 directory":         {dir, "is directory"},
		"K33 empty":             {key(t, nil, 0o600), "has 0 bytes"},
		"K33 short":             {key(t, []byte(secret)[:31], 0o600), "has 31 bytes"},
		"K33 long":              {key(t, bytes.Repeat([]byte(secret), 200), 0o600), "larger than 4096 bytes"},
		"K33 open directory":    {inOpen, "written by everybody"},
		"K33 missing":           {filepath.Join(dir, "missing"), "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			toml := section2(2048, fmt.Sprintf(`{name = "f", type = "file", path = %q}`, tc.path))
			_, err := modtest.TryConfig(t, "a.test", toml, Info)
			if err == nil {
				t.Fatal("it starts")
			}
			for _, want := range []string{strings.TrimSuffix(tc.path, "/key"), `"f"`, "mod_keystore", tc.says} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("does not say %s: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), secret[:8]) {
				t.Errorf("repeats the content: %v", err)
			}
			cfg, perr := config.Parse("f", []byte(toml), []config.Section{Info.Section})
			if perr != nil {
				t.Fatal(perr)
			}
			if files := Files(cfg); len(files) != 1 || files[0].Err == nil || !strings.Contains(files[0].Err.Error(), tc.says) {
				t.Errorf("Files says %+v", files)
			}
		})
	}
}

func TestRotateFile(t *testing.T) {
	first, second := bytes.Repeat([]byte("1"), 40), bytes.Repeat([]byte("2"), 50)
	path := key(t, first, 0o600)
	h, s := host(t, section2(2048, fmt.Sprintf(`{name = "f", type = "file", path = %q}`, path)))
	if _, err := s.Rotate("f", "a test"); !errors.Is(err, ErrUnchanged) || !strings.Contains(err.Error(), path) {
		t.Errorf("nothing new in the file: %v", err)
	}
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write([]byte("short"))
	if _, err := s.Rotate("f", "a test"); err == nil || !bytes.Equal(get(t, s, "f"), first) {
		t.Errorf("a bad file took the key's place: %v", err)
	}
	write(second)
	if d := rotate(t, s, "f"); d.Previous != Fingerprint(first) || d.Size != 50 {
		t.Errorf("%+v", d)
	}
	want := Keys{Current: second, Previous: first}
	check := func(what string) {
		t.Helper()
		if k, err := service(t, h).Keys("f"); err != nil || !bytes.Equal(k.Current, want.Current) || !bytes.Equal(k.Previous, want.Previous) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("rotated")
	// A reload reads no file that is there already, and finds the previous key of one that comes back unchanged.
	toml := func(keys string) string { return section2(2048, keys) }
	file := fmt.Sprintf(`{name = "f", type = "file", path = %q}`, path)
	if err := h.Reload(toml(file + `, {name = "x", type = "ram"}`)); err != nil {
		t.Fatal(err)
	}
	check("reloaded")
	for _, keys := range []string{`{name = "x", type = "ram"}`, file} {
		if err := h.Reload(toml(keys)); err != nil {
			t.Fatal(err)
		}
	}
	check("back again")
	if err := h.Reload(toml(`{name = "x", type = "ram"}`)); err != nil {
		t.Fatal(err)
	}
	write(first)
	if err := h.Reload(toml(file)); err != nil {
		t.Fatal(err)
	}
	want = Keys{Current: first}
	check("back with another content")
}

// A cluster's source takes the place of the memory of this process.
type cluster struct {
	err  error
	keys Keys
	id   ID
}

func (c *cluster) Start(_ context.Context, h *modules.Host) error {
	modules.Provide[Source](h, c)
	return nil
}
func (c *cluster) Stop(context.Context) error         { return nil }
func (c *cluster) Keys(id ID, size int) (Keys, error) { c.id = id; return c.keys, c.err }
func (c *cluster) Rotate(ID, int) (Keys, error)       { return c.keys, c.err }
func (c *cluster) info() modules.Info {
	return modules.Define(modules.Info{Name: "mod_cluster"}, struct{}{}, func(struct{}) modules.Module { return c })
}

func TestSource(t *testing.T) {
	c := &cluster{keys: Keys{Current: bytes.Repeat([]byte("c"), 32)}}
	_, s := host(t, ram, c.info())
	if got := get(t, s, "k"); !bytes.Equal(got, c.keys.Current) || c.id != (ID{"a.test", "k"}) {
		t.Errorf("not the cluster's key, asked for %v", c.id)
	}
	for what, broken := range map[string]*cluster{
		"unreachable": {err: errors.New("nobody answers")},
		"too short":   {keys: Keys{Current: []byte("short")}},
	} {
		c.keys, c.err = broken.keys, broken.err
		if _, err := s.GetKey("k"); !errors.Is(err, ErrBackend) || errors.Is(err, ErrNoKey) {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := s.List(); !errors.Is(err, ErrBackend) {
			t.Errorf("%s: list: %v", what, err)
		}
		if _, err := s.Rotate("k", "a test"); !errors.Is(err, ErrBackend) {
			t.Errorf("%s: rotate: %v", what, err)
		}
		if _, err := modtest.TryConfig(t, "a.test", ram, broken.info(), Info); !errors.Is(err, ErrBackend) {
			t.Errorf("%s: start: %v", what, err)
		}
	}
}

func TestNothingPrintsKeys(t *testing.T) {
	k := Keys{Current: []byte("current"), Previous: []byte("previous")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		if got := fmt.Sprintf(verb, k); got != "keystore.Keys" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
}

// Several hosts with the same file is what the configuration must say in so many words.
func TestSharing(t *testing.T) {
	hosts := "[general]\nhosts = [\"a.test\", \"b.test\", \"c.test\"]\n"
	file := "[modules.mod_keystore]\nkeys = [{name = \"r\", type = \"ram\"}, {name = \"f\", type = \"file\", path = \"priv/f\"%s}]\n"
	own := "[[host_config]]\nhost = %q\n[host_config.modules.mod_keystore]\nkeys = [{name = \"g\", type = \"file\", path = %q%s}]\n"
	const says = "is a key of several hosts, "
	for name, tc := range map[string]struct{ toml, want string }{
		"one host":           {"[general]\nhosts = [\"a.test\"]\n" + fmt.Sprintf(file, ""), ""},
		"inherited by three": {hosts + fmt.Sprintf(file, ""), "f:4: modules.mod_keystore.keys[1].path: " + says + "a.test and b.test and c.test"},
		"meant":              {hosts + fmt.Sprintf(file, ", shared = true"), ""},
		"inherited by two": {hosts + fmt.Sprintf(file, "") + fmt.Sprintf(own, "b.test", "priv/b", ""),
			"f:4: modules.mod_keystore.keys[1].path: " + says + "a.test and c.test"},
		"inherited by one": {hosts + fmt.Sprintf(file, "") + fmt.Sprintf(own, "b.test", "priv/b", "") +
			"[[host_config]]\nhost = \"c.test\"\ndisabled_modules = [\"mod_keystore\"]\n", ""},
		"written twice": {hosts + fmt.Sprintf(own, "a.test", "priv/b", "") + fmt.Sprintf(own, "c.test", "./x/../priv/b", ""),
			`f:6: host_config "a.test" modules.mod_keystore.keys[0].path: ` + says + "a.test and c.test"},
		"one of them means it": {hosts + fmt.Sprintf(own, "a.test", "priv/b", ", shared = true") + fmt.Sprintf(own, "c.test", "priv/b", ""),
			`f:10: host_config "c.test" modules.mod_keystore.keys[0].path: ` + says + "a.test and c.test"},
		"both mean it": {hosts + fmt.Sprintf(own, "a.test", "priv/b", ", shared = true") + fmt.Sprintf(own, "c.test", "priv/b", ", shared = true"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("f", []byte(tc.toml), []config.Section{Info.Section})
			if tc.want == "" && err != nil {
				t.Error(err)
			}
			if tc.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.want+":") || !strings.Contains(err.Error(), "shared = true")) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	for toml, want := range map[string]string{
		"ram_key_size = 31":         "f:2: modules.mod_keystore.ram_key_size: must be at least 32 bytes, is 31",
		"ram_key_size = 0":          "f:2: modules.mod_keystore.ram_key_size: must be at least 32 bytes, is 0",
		"ram_key_size = 1073741824": "f:2: modules.mod_keystore.ram_key_size: must be at most 1048576 bytes, is 1073741824",
		`keys = [{name = "a", type = "ram"}, {name = "a", type = "ram"}]`: `f:2: modules.mod_keystore.keys[1].name: "a" is the name of keys[0] already`,
		`keys = [{name = "a", type = "file"}]`:                            "f:2: modules.mod_keystore.keys[0].path: is missing: a key of type file needs one",
		`keys = [{name = "a", type = "hsm"}]`:                             `f:2: modules.mod_keystore.keys[0].type: must be "ram" or "file", is "hsm"`,
		`keys = [{type = "ram"}]`:                                         "f:2: modules.mod_keystore.keys[0].name: is missing",
		"ram_key_size = 32":                                               "",
	} {
		_, err := config.Parse("f", []byte("[modules.mod_keystore]\n"+toml), []config.Section{Info.Section})
		if got := fmt.Sprint(err); want == "" && err != nil || want != "" && got != want {
			t.Errorf("%s: %s", toml, got)
		}
	}
}
