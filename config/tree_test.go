package config

import (
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

func TestTreePlaces(t *testing.T) {
	errs := &Errors{}
	root := parseTree([]byte(`a.b = 1 # one

[t]
list = [
  {name = "x"},

  {name = "y", "od d" = [2, 3]},
]
[[host_config]]
host = "b.example"
  [host_config.modules.mod_x]
  keys = []
`), errs)
	if len(errs.List) > 0 {
		t.Fatal(errs)
	}
	for _, want := range []struct {
		lookup, path string
		line         int
	}{
		{"a.b", "a.b", 1},
		{"t", "t", 3},
		{"t.list", "t.list", 4},
		{"t.list[0].name", "t.list[0].name", 5},
		{"t.list[1]", "t.list[1]", 7},
		{"t.list[1].od d[1]", `t.list[1]."od d"[1]`, 7},
		{"host_config", "host_config", 9},
		{"host_config[0]", `host_config "b.example"`, 9},
		{"host_config[0].host", `host_config "b.example" host`, 10},
		{"host_config[0].modules", `host_config "b.example" modules`, 11},
		{"host_config[0].modules.mod_x.keys", `host_config "b.example" modules.mod_x.keys`, 12},
	} {
		n, ok := root.lookup(want.lookup)
		if !ok || n.Path != want.path || n.Line != want.line {
			t.Errorf("%s: %s on line %d, %v; want %s on line %d", want.lookup, n.Path, n.Line, ok, want.path, want.line)
		}
	}
	for _, missing := range []string{"b", "a.b.c", "t.list[2]", "t.list[-1]", "t.list[x]", "t.list[0", "a[0]"} {
		if n, ok := root.lookup(missing); ok {
			t.Errorf("%s is there: %+v", missing, n)
		}
	}
}

// native turns a tree into what go-toml makes of the same file.
func native(n *Node) any {
	if n.Table() {
		m := map[string]any{}
		for k, c := range n.Keys {
			m[k] = native(c)
		}
		return m
	}
	if list, ok := n.Value.([]*Node); ok {
		s := []any{}
		for _, e := range list {
			s = append(s, native(e))
		}
		return s
	}
	return n.Value
}

// same compares such values; NaN is itself, and dates are only compared by being one.
func same(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for k := range x {
			if _, there := y[k]; !there || !same(x[k], y[k]) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false
		}
		for i := range x {
			if !same(x[i], y[i]) {
				return false
			}
		}
		return true
	case float64:
		y, ok := b.(float64)
		return ok && (x == y || math.IsNaN(x) && math.IsNaN(y))
	case time.Time:
		switch b.(type) {
		case time.Time, toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
			return true
		}
		return false
	}
	return reflect.DeepEqual(a, b)
}

// hasDate tells whether a tree has a date: no option takes one, so ours need not be as strict.
func hasDate(n *Node) bool {
	if _, ok := n.Value.(time.Time); ok {
		return true
	}
	for _, c := range n.Keys {
		if hasDate(c) {
			return true
		}
	}
	list, _ := n.Value.([]*Node)
	return slices.ContainsFunc(list, hasDate)
}

var treeSeeds = []string{
	"a = 1\na.b = 2", "a.b = 1\na = 2", "[a]\n[a]", "[a.b]\n[a]\nc = 1", "[a]\nb.c = 1\n[a.b]", "[a]\nb.c = 1\n[a.b.d]\n[a.b.d]",
	"[[a]]\n[a.b]\n[[a]]\n[a.b]", "[[a]]\n[a]", "[a]\n[[a]]", "a = []\n[[a]]", "a = {b = 1}\n[a.c]", "a = {b = 1}\na.c = 1",
	"a = {b.c = 1, b.d = 2}", "a = {b = 1, b = 2}", "[a.b.c]\n[a]\nb.d = 1", "a = [[1, 2], ['x']]", "a = 0x10\nb = 1_000\nc = -5\nd = +0b1",
	"a = 1.5e3\nb = inf\nc = -nan\nd = 1e999", "d = 1979-05-27\ne = 07:32:00\nf = 1979-05-27T07:32:00Z\ng = 1979-05-27 07:32:00",
	"s = '''\nx'y'''\nt = \"\"\"\n\\u00e9 \\\n  z\"\"\"", "\"\" = 1\n'a.b' = 2\n\"\\t\" = 3", "[a]\r\nb = 1\r\n", "a = [1,\n# c\n2,]\n",
	"[[a.b]]\n[[a.b.c]]\nx = 1\n[[a.b.c]]\nx = 2", "[a]\n[b]\n[a.c]\n", "a = 99999999999999999999", "a = 1979-13-01", "a =", "=", "[", "\"", "a = \"\\",
}

// FuzzTree compares with go-toml's own reader: what one of them takes the other takes, and means the same by it.
func FuzzTree(f *testing.F) {
	for _, s := range treeSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		errs := &Errors{}
		root := parseTree([]byte(s), errs)
		lines := strings.Count(s, "\n") + 1
		for _, m := range errs.List {
			if m.Line < 1 || m.Line > lines {
				t.Errorf("mistake on line %d of %d: %s", m.Line, lines, m.Text)
			}
		}
		var want map[string]any
		err := toml.Unmarshal([]byte(s), &want)
		if len(errs.List) > 0 {
			for _, m := range errs.List {
				// Bounds of ours, and dates in a corner that go-toml takes.
				if strings.Contains(m.Text, "more than") || strings.Contains(m.Text, "longer than") || strings.Contains(m.Text, "date") {
					return
				}
			}
			if err == nil {
				t.Errorf("go-toml takes what has the mistakes\n%s", errs)
			}
			return
		}
		if err != nil {
			if strings.Contains(err.Error(), "nested") || hasDate(root) {
				return
			}
			t.Fatalf("go-toml finds: %v", err)
		}
		if want == nil {
			want = map[string]any{}
		}
		if got := native(root); !same(got, want) {
			t.Errorf("means\n%v\nfor go-toml\n%v", got, want)
		}
	})
}
