package stanza

import (
	"fmt"
	"strings"
	"testing"
)

// TestAllocs: in the steady state a stanza costs no allocation beyond the buffer it came in.
func TestAllocs(t *testing.T) {
	var sc Scanner
	sc.Prefixes("p", "urn:p")
	var st Stanza
	from := MustJID("romeo@montague.example/orchard")
	buf := make([]byte, 0, 8192)
	unknown := "<message to='nobody@nowhere.test/r' xmlns:q='urn:unknown:q'><q:a/><b xmlns='urn:unknown:b'/><p:c q:x='1' p:x='2'/><stream:d/></message>"
	scan := func(in string) func() {
		raw := []byte(in)
		return func() {
			if _, err := sc.Scan(raw, &st); err != nil {
				t.Fatal(err)
			}
		}
	}
	pieces := []byte(chat)
	added := []byte("<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='capulet.example'/>")
	for name, fn := range map[string]func(){
		"chat": scan(chat), "groupchat": scan(muc), "form": scan(form), "roster": scan(roster), "unknown namespaces": scan(unknown),
		"unknown nonza": scan("<unknown xmlns='urn:unknown'/>"),
		"forwarded": func() {
			if _, err := sc.Scan(pieces, &st); err != nil {
				t.Fatal(err)
			}
			st.SetFrom(from)
			st.SetLang("en")
			st.Add(added)
			buf = st.AppendTo(buf[:0])
		},
		"byte by byte": func() {
			for i := range pieces {
				if _, err := sc.Scan(pieces[:i], &st); err != ErrMore {
					t.Fatal(err)
				}
			}
			if _, err := sc.Scan(pieces, &st); err != nil {
				t.Fatal(err)
			}
		},
		"address": func() {
			if _, err := InternJID([]byte("Some\u00f6ne@b\u00fccher.test/\u265a")); err != nil {
				t.Fatal(err)
			}
		},
		"search": func() {
			if st.Has("urn:xmpp:nothing", "x") || st.Type == TypeUnknown {
				t.Fatal()
			}
		},
	} {
		fn()
		if n := testing.AllocsPerRun(100, fn); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// TestLinear: fed byte by byte, the scanner never stands far behind what has arrived, so that no input makes it look at
// the same bytes over and over.
func TestLinear(t *testing.T) {
	rep := strings.Repeat
	for name, in := range map[string]string{
		"value":             "<a b='" + rep("x", 5000) + "'/>",
		"escaped value":     "<a b='" + rep("&amp;\t\u20ac", 1000) + "'/>",
		"white space":       "<a" + rep(" ", 5000) + "b" + rep(" ", 5000) + "=" + rep("\t", 5000) + "''" + rep("\n", 5000) + "></a" + rep(" ", 5000) + ">",
		"text":              "<a>" + rep("x", 5000) + "</a>",
		"brackets":          "<a>" + rep("]", 5000) + "</a>",
		"CDATA":             "<a><![CDATA[" + rep("]", 5000) + "x]]></a>",
		"name":              "<" + rep("x", 5000) + " " + rep("\u00e9", 2000) + "=''/>",
		"leading zeros":     "<a>&#" + rep("0", 20) + "65;</a>",
		"many attributes":   "<a" + rep(" b='1'", 1) + manyOf(2000, " a%d=''") + "/>",
		"many declarations": "<a" + manyOf(2000, " xmlns:p%d='u'") + "/>",
		"deep":              rep("<a>", 3000) + rep("</a>", 3000),
		"end of stream":     "</stream:stream" + rep(" ", 5000) + ">",
	} {
		var sc Scanner
		var st Stanza
		far := 0
		raw := []byte(in)
		for i := 1; i <= len(in); i++ {
			_, err := sc.Scan(raw[:i], &st)
			if (err == nil || err == ErrStreamEnd) != (i == len(in)) || err != nil && err != ErrMore && err != ErrStreamEnd {
				t.Fatalf("%s: at %d: %v", name, i, err)
			}
			if err == ErrMore {
				far = max(far, i-sc.w.pos)
			}
		}
		if far > 32 {
			t.Errorf("%s: %d bytes behind", name, far)
		}
	}
}

func manyOf(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestManyAttributes: without limits too, many attributes are compared correctly.
func TestManyAttributes(t *testing.T) {
	many := manyOf(200, " a%d=''")
	for in, want := range map[string]string{
		"<a" + many + "/>":       "",
		"<a" + many + " a7=''/>": nwf,
		"<a xmlns:p='u' xmlns:q='u'" + many + " p:x='' q:x=''/>": nwf,
		"<a xmlns:p='u' xmlns:q='v'" + many + " p:x='' q:x=''/>": "",
		"<a" + many + " p:x=''/>":                                badPrefix,
		"<a" + many + " xmlns='u' xmlns='u'/>":                   nwf,
	} {
		if _, err := scanAll(new(Scanner), in, len(in)); condition(err) != want {
			t.Errorf("%.60s…: %v, want %q", in, err, want)
		}
	}
}

// TestDeadScanner: after an error nothing more is read, until Reset.
func TestDeadScanner(t *testing.T) {
	for _, first := range []string{"<a></b>", "</stream:stream>", "junk", "<a>" + strings.Repeat("x", 100)} {
		sc := Scanner{Limits: Limits{Size: 50}}
		var st Stanza
		_, err := sc.Scan([]byte(first), &st)
		if err == nil || err == ErrMore {
			t.Fatalf("%s: %v", first, err)
		}
		if n, again := sc.Scan([]byte("<message/>"), &st); n != 0 || again != err {
			t.Errorf("after %v: %d, %v", err, n, again)
		}
		sc.Reset()
		if _, err := sc.Scan([]byte("<message/>"), &st); err != nil {
			t.Errorf("after Reset: %v", err)
		}
	}
}

// TestRelease: working memory goes back where no element is half read, and not before.
func TestRelease(t *testing.T) {
	var sc Scanner
	var st Stanza
	if _, err := sc.Scan([]byte("<a><b>"), &st); err != ErrMore || !sc.Inside() {
		t.Fatal(err)
	}
	sc.Release()
	if _, err := sc.Scan([]byte("<a><b></b></a>"), &st); err != nil || sc.Inside() {
		t.Fatal(err)
	}
	sc.Release()
	if sc.w != nil {
		t.Error("the working memory is kept")
	}
	if n, err := sc.Scan([]byte(" \n"), &st); n != 2 || err != ErrMore || sc.w != nil {
		t.Errorf("white space: %d, %v, working memory: %v", n, err, sc.w != nil)
	}
}
