package stanza

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"mellium.im/xmpp/jid"
)

func TestParseJID(t *testing.T) {
	long := strings.Repeat("a", 1023)
	label := strings.Repeat("a", 63)
	for _, c := range []struct{ in, local, domain, resource string }{
		// RFC 7622 §3.5, table 1.
		{"juliet@example.com", "juliet", "example.com", ""},
		{"juliet@example.com/foo", "juliet", "example.com", "foo"},
		{"juliet@example.com/foo bar", "juliet", "example.com", "foo bar"},
		{"juliet@example.com/foo@bar", "juliet", "example.com", "foo@bar"},
		{`foo\20bar@example.com`, `foo\20bar`, "example.com", ""},
		{"fussball@example.com", "fussball", "example.com", ""},
		{"fu\u00dfball@example.com", "fu\u00dfball", "example.com", ""},
		{"\u03c0@example.com", "\u03c0", "example.com", ""},
		{"\u03a3@example.com/foo", "\u03c3", "example.com", "foo"},
		{"\u03c3@example.com/foo", "\u03c3", "example.com", "foo"},
		{"\u03c2@example.com/foo", "\u03c2", "example.com", "foo"},
		{"king@example.com/\u265a", "king", "example.com", "\u265a"},
		{"example.com", "", "example.com", ""},
		{"example.com/foobar", "", "example.com", "foobar"},
		{"a.example.com/b@example.net", "", "a.example.com", "b@example.net"},
		// Table 2 calls this one invalid, but neither §3.4 nor OpaqueString (RFC 8265 §4.2) forbids it.
		{"juliet@example.com/ foo", "juliet", "example.com", " foo"},

		{"Juliet@EXAMPLE.com/Balcony", "juliet", "example.com", "Balcony"},
		{"a@b/c/d@e", "a", "b", "c/d@e"},
		{"!#$%()*+,-.;=?[\\]^_`{|}~@b", "!#$%()*+,-.;=?[\\]^_`{|}~", "b", ""},
		{"a@b/" + "\"&'<>:", "a", "b", "\"&'<>:"},
		{"example.com.", "", "example.com", ""},
		{"a@example.com./r", "a", "example.com", "r"},
		{"127.0.0.1", "", "127.0.0.1", ""},
		{"a@[::1]/r", "a", "[::1]", "r"},
		{"[0:0:0:0:0:0:0:1]", "", "[::1]", ""},
		{"[FE80::A]", "", "[fe80::a]", ""},
		{long + "@b/" + long, long, "b", long},
		{"a@" + label + "." + label, "a", label + "." + label, ""},
		{"a@B\u00dcCHER.test", "a", "b\u00fccher.test", ""},
		{"a@xn--bcher-kva.test", "a", "b\u00fccher.test", ""},
		{"a@XN--BCHER-KVA.test", "a", "b\u00fccher.test", ""},
		{"a@bu\u0308cher.test", "a", "b\u00fccher.test", ""},
		{"a@b\u3002test\u3002", "a", "b.test", ""},
		{"a@b\uff0ete\uff61st", "a", "b.te.st", ""},
		{"\uff41lice@a.test", "alice", "a.test", ""},
		{"a@a.test/\u00a0x", "a", "a.test", " x"},
		{"A\u030a@a.test", "\u00e5", "a.test", ""},
	} {
		for name, parse := range map[string]func(string) (JID, error){
			"ParseJID":  ParseJID,
			"InternJID": func(s string) (JID, error) { return InternJID([]byte(s)) },
			"NewJID":    func(string) (JID, error) { return NewJID(c.local, c.domain, c.resource) },
		} {
			j, err := parse(c.in)
			if err != nil || j.Local() != c.local || j.Domain() != c.domain || j.Resource() != c.resource {
				t.Errorf("%s(%q) = %q %q %q, %v", name, c.in, j.Local(), j.Domain(), j.Resource(), err)
			}
			if again := MustJID(j.String()); again != j {
				t.Errorf("%q prepared twice: %q", c.in, again)
			}
		}
	}
}

func TestBadJID(t *testing.T) {
	for _, in := range []string{
		// RFC 7622 §3.5, table 2.
		`"juliet"@example.com`, "foo bar@example.com", "@example.com/", "henry\u2163@example.com", "\u265a@example.com", "juliet@",
		"/foobar",

		"", ".", "@", "/", "@b", "a@", "a@/r", "a@b/", "a b", "a@b c", "a@b@c", "a@b:5222", "a@.b", "a@b..c", "a@b..",
		"a@-b", "a@b-", "a@b_c", "a@b\x00", "a@b/\x00", "a@b/\n", "a@b/\x7f", "a\x7f@b", "\x00@b",
		"a&b@c", "a'b@c", "a:b@c", "a<b@c", "a>b@c", "a@[::1", "a@::1", "a@[]", "a@[1.2.3.4]", "a@[fe80::1%eth0]", "a@[::ffff:1.2.3.4]",
		strings.Repeat("a", 1024) + "@b", "a@b/" + strings.Repeat("a", 1024), "a@" + strings.Repeat("a", 64),
		"a@" + strings.Repeat("a.", 512) + "a", strings.Repeat("\u00e4", 512) + "@b", "a@b/" + strings.Repeat("\u00e4", 512),
		"a@" + strings.Repeat("\u00e4", 63), "\xff@b", "a@\xff", "a@b/\xff", "a@\xed\xa0\x80", "a@ab--c", "a@xn--", "a@xn--a",
		"\uff07a@b", "a\uff20b@c", "a@b\uff0fc", "a@b\uff20c", "a@\u2100", "\u0000@b", "a\u2028@b", "a@b/\u0085", "a@b/\ue000\ufffe",
		strings.Repeat("\u00e4", 9000) + "@b",
	} {
		if j, err := ParseJID(in); err == nil || !j.IsZero() {
			t.Errorf("ParseJID(%q) = %q, %v", in, j, err)
		}
		if j, err := InternJID([]byte(in)); err == nil || !j.IsZero() {
			t.Errorf("InternJID(%q) = %q, %v", in, j, err)
		}
	}
	for _, p := range [][3]string{{"a/b", "c", ""}, {"a@b", "c", ""}, {"a", "b/c", ""}, {"a", "b@c", ""}, {"a", "", "r"}} {
		if j, err := NewJID(p[0], p[1], p[2]); err == nil {
			t.Errorf("NewJID%q = %q", p, j)
		}
	}
}

func TestJID(t *testing.T) {
	j := MustJID("Juliet@Example.com/Balcony")
	if j.Bare() != MustJID("juliet@example.com") || j.Host() != MustJID("example.com") || j.IsBare() || !j.Bare().IsBare() {
		t.Error("Bare, Host or IsBare is wrong")
	}
	if r, err := j.WithResource("x\u00a0y"); err != nil || r.String() != "juliet@example.com/x y" {
		t.Errorf("WithResource: %q, %v", r, err)
	}
	for _, r := range []string{"", "\x00", strings.Repeat("a", 1024)} {
		if _, err := j.WithResource(r); err == nil {
			t.Errorf("WithResource(%.10q) is allowed", r)
		}
	}
	if got := MustJID("a@b\u00fccher.test").DomainASCII(); got != "xn--bcher-kva.test" {
		t.Errorf("DomainASCII: %q", got)
	}
	if got := j.DomainASCII(); got != "example.com" {
		t.Errorf("DomainASCII: %q", got)
	}
	if !(JID{}).IsZero() || j.IsZero() || (JID{}).String() != "" {
		t.Error("the zero JID is not zero")
	}
}

// TestInternBounded fills the cache far beyond its size, from several goroutines.
func TestInternBounded(t *testing.T) {
	c := newCache[int](4)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 2000 {
				key := fmt.Sprint(i % 100)
				s, e := c.get([]byte(key))
				if e == nil {
					c.put(s, key, i%100)
				} else if e.val != i%100 {
					t.Errorf("goroutine %d: %s is %d", g, key, e.val)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for i := range c.sets {
		for j := range c.sets[i] {
			if c.sets[i][j].Load() != nil {
				n++
			}
		}
	}
	if n > 16 {
		t.Errorf("%d entries in a cache of 16", n)
	}
	c.put(&c.sets[0], "x", 1) // whatever else is in the set, what came last is in
	found := false
	for j := range c.sets[0] {
		e := c.sets[0][j].Load()
		found = found || e != nil && e.key == "x"
	}
	if !found {
		t.Error("what came last is not in the cache")
	}
}

// FuzzJID: what is accepted is its own prepared form, has the parts that it should have, and is the same address for
// mellium.im/xmpp/jid.
func FuzzJID(f *testing.F) {
	for _, s := range []string{"juliet@example.com/foo", "a@xn--bcher-kva.test.", "[::1]/r", "\u03a3@\uff21\u3002b/\u265a\u00a0",
		"\u0130@a", "a@\u00df.\u05d0", "a@b/\u1e9e", "\uff07@a", "a@127.0.0.1", "a@a\u200db", "\u1fc0@a", "a/\ufb01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		j, err := ParseJID(s)
		if k, err2 := InternJID([]byte(s)); k != j || (err == nil) != (err2 == nil) {
			t.Fatalf("InternJID(%q) = %q, %v; ParseJID: %q, %v", s, k, err2, j, err)
		}
		if err != nil {
			if !j.IsZero() {
				t.Fatalf("%q: an address with an error", s)
			}
			return
		}
		for _, p := range []string{j.local, j.domain, j.resource} {
			if len(p) > 1023 || strings.ToValidUTF8(p, "") != p {
				t.Fatalf("%q: part %q", s, p)
			}
		}
		if j.domain == "" || strings.ContainsAny(j.local, "\"&'/:<>@ ") || strings.ContainsAny(j.domain, "\"&'/<>@ ") ||
			strings.HasSuffix(j.domain, ".") {
			t.Fatalf("%q became %q %q %q", s, j.local, j.domain, j.resource)
		}
		if k, err := ParseJID(j.String()); k != j || err != nil {
			t.Fatalf("%q is %q, again %q, %v", s, j, k, err)
		}
		m, err := jid.Parse(j.String())
		if err != nil || m.String() != j.String() {
			t.Fatalf("%q is %q, for mellium %q, %v", s, j, m, err)
		}
	})
}

// XEP-0191 §5.
func TestCovers(t *testing.T) {
	all := []string{"a@b.test/r", "a@b.test/s", "a@b.test", "c@b.test", "b.test/r", "b.test/s", "b.test", "a@sub.b.test", "sub.b.test"}
	for entry, want := range map[string][]string{
		"a@b.test/r": {"a@b.test/r"},
		"a@b.test":   {"a@b.test/r", "a@b.test/s", "a@b.test"},
		"b.test/r":   {"b.test/r"},
		"b.test":     {"a@b.test/r", "a@b.test/s", "a@b.test", "c@b.test", "b.test/r", "b.test/s", "b.test"},
	} {
		var got []string
		for _, j := range all {
			if MustJID(entry).Covers(MustJID(j)) {
				got = append(got, j)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s covers %q, want %q", entry, got, want)
		}
	}
}
