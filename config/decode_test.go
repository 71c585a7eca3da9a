package config

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

type inner struct {
	Name string `toml:"name,required"`
	Port uint16 `toml:"port"`
}

type sample struct {
	Text    string            `toml:"text" doc:"some text"`
	On      bool              `toml:"on"`
	Small   int8              `toml:"small"`
	Ratio   float64           `toml:"ratio"`
	Wait    Duration          `toml:"wait"`
	Room    Size              `toml:"room"`
	Addr    netip.Addr        `toml:"addr"`
	Key     netip.Addr        `toml:"key" secret:"true"`
	Words   []string          `toml:"words"`
	Inner   inner             `toml:"inner"`
	Many    []inner           `toml:"many"`
	ByName  map[string]int    `toml:"by_name"`
	Tables  map[string]*Node  `toml:"tables"`
	Maybe   *inner            `toml:"maybe"`
	Nested  [][]int           `toml:"nested"`
	Ignored map[string]string // no tag: no option
	hidden  string            `toml:"hidden"`
}

func (s *sample) Check(errs *Errors) {
	if s.Text == "bad" {
		errs.Add("text", "must not be bad")
		errs.Add("many[0].port", "is bad too")
		errs.Add("absent", "is absent")
		errs.Add("", "all is bad")
	}
}

func decodeSample(t *testing.T, text string, defaults sample) (sample, *Errors) {
	t.Helper()
	errs := &Errors{File: "f"}
	root := parseTree([]byte(text), errs)
	if len(errs.List) > 0 {
		t.Fatal(errs)
	}
	s := Decode(root.child("s"), defaults, errs)
	sortMistakes(errs.List)
	return s, errs
}

func TestDecode(t *testing.T) {
	got, errs := decodeSample(t, `[s]
text = "hello"
on = true
small = -128
ratio = 2
wait = "1h30m"
room = "64KiB"
addr = "::1"
words = ["a", "b"]
inner = {name = "i", port = 65535}
many = [{name = "m"}, {name = "n", port = 1}]
by_name = {a = 1, b = 2}
tables.x = {y = 1}
maybe = {name = "p"}
nested = [[1], [], [2, 3]]
`, sample{Text: "default", Words: []string{"x", "y", "z"}, ByName: map[string]int{"a": 0, "c": 3}})
	if len(errs.List) > 0 {
		t.Fatal(errs)
	}
	if got.Tables["x"] == nil || got.Tables["x"].Path != "s.tables.x" {
		t.Errorf("tables: %v", got.Tables)
	}
	got.Tables = nil
	want := sample{
		Text: "hello", On: true, Small: -128, Ratio: 2, Wait: 90 * minutes, Room: 64 * kiB, Addr: netip.IPv6Loopback(),
		Words: []string{"a", "b"}, Inner: inner{"i", 65535}, Many: []inner{{Name: "m"}, {"n", 1}},
		ByName: map[string]int{"a": 1, "b": 2, "c": 3}, Maybe: &inner{Name: "p"}, Nested: [][]int{{1}, {}, {2, 3}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeKeepsDefaults(t *testing.T) {
	defaults := sample{Text: "default", Words: []string{"x"}, ByName: map[string]int{"a": 0}, Maybe: &inner{Name: "p"}}
	got := Decode(nil, defaults, &Errors{})
	if !reflect.DeepEqual(got, defaults) {
		t.Errorf("without a section: %+v", got)
	}
	if _, errs := decodeSample(t, "[s]\nwords = ['y']\nby_name.a = 5\nmaybe.name = 'q'", defaults); len(errs.List) > 0 {
		t.Error(errs)
	}
	if defaults.Words[0] != "x" || defaults.ByName["a"] != 0 || defaults.Maybe.Name != "p" {
		t.Errorf("the defaults were changed: %+v", defaults)
	}
}

func TestDecodeMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"small = 128":                           "s.small: must be between -128 and 127",
		"small = 1.0":                           "s.small: must be a whole number, is a number with a fraction",
		"ratio = nan":                           "s.ratio: must be a number, is a number with a fraction",
		"inner = {name = 'x', port = -1}":       "s.inner.port: must be between 0 and 65535",
		"inner = {name = 'x', port = 65536}":    "s.inner.port: must be between 0 and 65535",
		"inner = {port = 1}":                    "s.inner.name: is missing",
		"inner = {}":                            "s.inner.name: is missing",
		"inner = 5":                             "s.inner: must be a table, is a whole number",
		"many = [{name = 'x'}, {port = 1}]":     "s.many[1].name: is missing",
		"many = ['x']":                          "s.many[0]: must be a table, is a string",
		"many = {name = 'x'}":                   "s.many: must be a list of tables, is a table",
		"words = 'x'":                           "s.words: must be a list of strings, is a string",
		"words = ['x', 1]":                      "s.words[1]: must be a string, is a whole number",
		"nested = [1]":                          "s.nested[0]: must be a list of numbers, is a whole number",
		"by_name = 1":                           "s.by_name: must be a table, is a whole number",
		"by_name = {a = 'x'}":                   "s.by_name.a: must be a whole number, is a string",
		"tables = {x = 1}":                      "s.tables.x: must be a table, is a whole number",
		"maybe = 'x'":                           "s.maybe: must be a table, is a string",
		"addr = 1":                              "s.addr: must be a string, is a whole number",
		"key = 'hunter2'":                       "s.key: has the wrong form",
		"wait = 9223372036854775807":            "s.wait: is too large",
		"room = []":                             "s.room: must be a number of bytes, or a size such as \"64KiB\", \"4MiB\" or \"10kB\", is a list",
		"texd = 1":                              "s.texd: unknown key; the nearest that exists is text",
		"hidden = 'x'":                          "s.hidden: unknown key; the nearest that exists is addr",
		"Ignored = {}":                          "s.Ignored: unknown key; the nearest that exists is inner",
		"TEXT = 'x'":                            "s.TEXT: unknown key; the nearest that exists is text",
		"by-name = {}":                          "s.by-name: unknown key; the nearest that exists is by_name",
		"c2s_require_encryption = true":         "s.c2s_require_encryption: unknown key; in xmppd this is c2s.require_encryption",
		"inner.name = 'x'\ninner.storage = 'x'": "s.inner.storage: unknown key; in xmppd this is storage.driver",
	} {
		s, errs := decodeSample(t, "[s]\n"+text, sample{})
		if s.hidden != "" {
			t.Errorf("%s: a field that is not exported was set", text)
		}
		if len(errs.List) != 1 || errs.List[0].Path+": "+errs.List[0].Text != want || errs.List[0].Line < 2 {
			t.Errorf("%s:\n%s\nwant %s", text, errs, want)
		}
	}
	_, errs := decodeSample(t, "s = 5", sample{})
	if got := errs.Error(); got != "f:1: s: must be a table, is a whole number" {
		t.Error(got)
	}
}

func TestCheckHasPlaces(t *testing.T) {
	_, errs := decodeSample(t, "\n[s]\ntext = 'bad'\nmany = [\n{name = 'x', port = 1}]", sample{})
	want := "f:2: s.absent: is absent\nf:2: s: all is bad\nf:3: s.text: must not be bad\nf:5: s.many[0].port: is bad too"
	if got := errs.Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// Without a section there is no line, and the key is all there is to say.
	errs = &Errors{}
	Decode(nil, sample{Text: "bad"}, errs)
	if got := errs.Error(); !strings.HasPrefix(got, "text: must not be bad\n") {
		t.Error(got)
	}
	var target *Errors
	if !errors.As(error(errs), &target) {
		t.Error("not an error of its own type")
	}
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]string{
		"30s": "30s", "15m": "15m", "24h": "1d", "30d": "30d", "0": "0s", "90m": "1h30m", "1d12h": "36h", "500ms": "500ms",
		"1h0m1s": "1h0m1s", "100000d": "100000d",
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, d, err, want)
		}
		var again Duration
		if err := again.UnmarshalText([]byte(d.String())); err != nil || again != d {
			t.Errorf("%s: %s does not come back: %s, %v", text, d, again, err)
		}
	}
	for _, text := range []string{"", "30", "d", "-1s", "-0s", "1dd", "1d-1h", "999999999d", "106751d24h", "1y", "1 d", "+1d"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %s", text, d)
		}
	}
	for text, want := range map[string]struct {
		n int64
		s string
	}{
		"0": {0, "0"}, "256": {256, "256"}, "64KiB": {65536, "64KiB"}, "4MiB": {4 << 20, "4MiB"}, "10kB": {10000, "10kB"},
		"10kb": {10000, "10kB"}, "1 GiB": {1 << 30, "1GiB"}, "1500B": {1500, "1500"}, "2MB": {2000000, "2MB"}, "1024": {1024, "1KiB"},
	} {
		var z Size
		if err := z.UnmarshalText([]byte(text)); err != nil || int64(z) != want.n || z.String() != want.s {
			t.Errorf("%s: %d, %s, %v; want %v", text, z, z, err, want)
		}
	}
	for _, text := range []string{"", "kB", "-1", "1.5kB", "1TiB", "9999999999GiB", "99999999999999999999", "1 k B"} {
		var z Size
		if err := z.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %s", text, z)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"hosts", "data_dir", "log_level"}
	for word, want := range map[string]string{
		"host": "hosts", "ohsts": "hosts", "datadir": "data_dir", "LOG-LEVEL": "log_level", "logs": "hosts",
		strings.Repeat("x", 1000): "hosts",
	} {
		if got, _ := nearest(word, words); got != want {
			t.Errorf("%.20s: %s, want %s", word, got, want)
		}
	}
	for _, d := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3}} {
		if got := editDistance(d.a, d.b); got != d.want {
			t.Errorf("%s, %s: %d, want %d", d.a, d.b, got, d.want)
		}
	}
	if w, d := nearest("x", nil); w != "" || near("x", d) {
		t.Errorf("%q, %d", w, d)
	}
}
