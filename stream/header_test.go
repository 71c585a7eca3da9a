package stream

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const streamNS = "xmlns:stream='http://etherx.jabber.org/streams'"

// header is what a client sends, with other attributes behind the namespaces.
func header(attrs string) string {
	return "<stream:stream xmlns='jabber:client' " + streamNS + " " + attrs + ">"
}

var headerTests = []struct {
	name string
	in   string
	want string // the condition; empty: accepted
}{
	{"plain", clientHeader, ""},
	{"no declaration", header("version='1.0' to='a.test'"), ""},
	{"double quotes and white space", "<?xml  version = \"1.0\"\tencoding=\"utf-8\" standalone='no' ?>\r\n\t <stream:stream\nversion = \"1.0\" xmlns:stream=\"http://etherx.jabber.org/streams\"\txmlns='jabber:client'  to='a.test' >", ""},
	{"white space first", " \n" + header("version='1.0'"), ""},
	{"higher version", header("version='1.1'"), ""},
	{"much higher version", header("version='12.07'"), ""},
	{"no version", header("to='a.test'"), "unsupported-version"},
	{"old version", header("version='0.9'"), "unsupported-version"},
	{"empty version", header("version=''"), "unsupported-version"},
	{"odd version", header("version='1'"), "unsupported-version"},
	{"negative version", header("version='-1.0'"), "unsupported-version"},

	{"X07", "<?xml version='1.1'?>" + header("version='1.0'"), "not-well-formed"},
	{"X05", "<?xml version='1.0' encoding='ISO-8859-1'?>" + header("version='1.0'"), "unsupported-encoding"},
	{"utf-16", "<?xml version='1.0' encoding='UTF-16'?>" + header("version='1.0'"), "unsupported-encoding"},
	{"declaration without version", "<?xml encoding='UTF-8'?>", "not-well-formed"},
	{"declaration in the wrong order", "<?xml version='1.0' standalone='no' encoding='UTF-8'?>", "not-well-formed"},
	{"declaration without spaces", "<?xml version='1.0'encoding='UTF-8'?>", "not-well-formed"},
	{"declaration with bad standalone", "<?xml version='1.0' standalone='maybe'?>", "not-well-formed"},
	{"declaration with more", "<?xml version='1.0' more='1'?>", "not-well-formed"},
	{"declaration without quotes", "<?xml version=1.0?>", "not-well-formed"},
	{"declaration with open quote", "<?xml version='1.0?>", "not-well-formed"},
	{"declaration without end", "<?xml version='1.0'>", "not-well-formed"},
	{"declaration twice", "<?xml version='1.0'?><?xml version='1.0'?>", "restricted-xml"},
	{"declaration behind white space", " <?xml version='1.0'?>", "restricted-xml"},
	{"endless declaration", "<?xml " + strings.Repeat(" ", 200), "not-well-formed"},
	{"processing instruction", "<?php x?>", "restricted-xml"},
	{"xml-stylesheet", "<?xml-stylesheet x?>", "restricted-xml"},
	{"X01", "<?xml version='1.0'?><!DOCTYPE x [", "restricted-xml"},
	{"X02", "<!-- x -->" + clientHeader, "restricted-xml"},
	{"byte order mark", "\uFEFF" + clientHeader, "not-well-formed"},

	{"X19 http", "GET / HTTP/1.1\r\n\r\n", "not-well-formed"},
	{"X19 ssh", "SSH-2.0-OpenSSH_9.9\r\n", "not-well-formed"},
	{"X19 tls", "\x16\x03\x01\x02\x00\x01\x00", "not-well-formed"},
	{"X19 zeros", "\x00", "not-well-formed"},
	{"html", "<html>", "bad-format"},

	{"X16", "<stream:stream xmlns='jabber:client' xmlns:stream='urn:x' version='1.0'>", "invalid-namespace"},
	{"X17 evil", "<stream:stream xmlns='jabber:evil' " + streamNS + " version='1.0'>", "invalid-namespace"},
	{"X17 server", "<stream:stream xmlns='jabber:server' " + streamNS + " version='1.0'>", "invalid-namespace"},
	{"no default namespace", "<stream:stream " + streamNS + " version='1.0'>", "invalid-namespace"},
	{"X18", "<foo xmlns='jabber:client'>", "bad-format"},
	{"other root", "<stream:features xmlns='jabber:client' " + streamNS + " version='1.0'>", "bad-format"},
	{"T07", "<iq type='get' id='1'>", "bad-format"},
	{"undeclared prefix", "<stream:stream xmlns='jabber:client' version='1.0'>", "not-well-formed"},
	{"prefix of our own", "<s:stream xmlns='jabber:client' xmlns:s='http://etherx.jabber.org/streams' version='1.0'>", "bad-namespace-prefix"},
	{"no prefix", "<stream xmlns='http://etherx.jabber.org/streams' version='1.0'>", "bad-namespace-prefix"},
	{"empty stream", strings.Replace(header("version='1.0'"), ">", "/>", 1), "bad-format"},

	{"bad to", header("version='1.0' to='@a'"), "improper-addressing"},
	{"empty to", header("version='1.0' to=''"), "improper-addressing"},
	{"bad from", header("version='1.0' to='a.test' from='x@'"), "invalid-from"},

	{"attribute twice", header("version='1.0' version='1.0'"), "not-well-formed"},
	{"X12", header("xmlns:p='u' xmlns:q='u' p:x='1' q:x='2' version='1.0'"), "not-well-formed"},
	{"undeclared attribute prefix", header("p:x='1' version='1.0'"), "not-well-formed"},
	{"X13 empty", header("xmlns:p='' version='1.0'"), "not-well-formed"},
	{"X13 xml", header("xmlns:xml='urn:e' version='1.0'"), "not-well-formed"},
	{"X13 xmlns", header("xmlns:xmlns='urn:e' version='1.0'"), "not-well-formed"},
	{"xml's namespace for another", header("xmlns:p='http://www.w3.org/XML/1998/namespace' version='1.0'"), "not-well-formed"},
	{"xmlns's namespace", header("xmlns:p='http://www.w3.org/2000/xmlns/' version='1.0'"), "not-well-formed"},
	{"xml declared as itself", header("xmlns:xml='http://www.w3.org/XML/1998/namespace' version='1.0'"), ""},
	{"X14 colon first", "<:a>", "not-well-formed"},
	{"X14 colon last", "<a: >", "not-well-formed"},
	{"X14 two colons", "<a:b:c>", "not-well-formed"},
	{"X14 digit", "<1a>", "not-well-formed"},
	{"X14 dash behind the colon", "<a:-b>", "not-well-formed"},
	{"X15 no space", header("version='1.0'to='a.test'"), "not-well-formed"},
	{"X15 no quotes", header("version=1.0"), "not-well-formed"},
	{"X15 no value", header("version"), "not-well-formed"},
	{"X15 less than", header("version='1.0' x='<'"), "not-well-formed"},
	{"stray slash", "<stream:stream / >", "not-well-formed"},
	{"entity", header("version='&v;'"), "restricted-xml"},
	{"bare ampersand", header("version='1.0' x='a & b'"), "not-well-formed"},
	{"character reference", header("version='&#x31;&#46;0'"), ""},
	{"reference to no character", header("version='1.0' x='&#0;'"), "not-well-formed"},
	{"reference to a surrogate", header("version='1.0' x='&#xD800;'"), "not-well-formed"},
	{"reference far out", header("version='1.0' x='&#99999999999;'"), "not-well-formed"},
	{"X09 overlong", header("version='1.0' x='\xC0\x80'"), "not-well-formed"},
	{"X09 surrogate", header("version='1.0' x='\xED\xA0\x80'"), "not-well-formed"},
	{"X09 cut", header("version='1.0' x='\xE2\x82<'"), "not-well-formed"},
	{"X09 far out", header("version='1.0' x='\xF4\x90\x80\x80'"), "not-well-formed"},
	{"X10 control", header("version='1.0' x='\x08'"), "not-well-formed"},
	{"X10 U+FFFE", header("version='1.0' x='\uFFFE'"), "not-well-formed"},
	{"name in UTF-8", header("version='1.0' é='1'"), "not-well-formed"},

	{"too long", header("version='1.0' x='" + strings.Repeat("a", 10000)), "policy-violation"},
	{"too much white space", strings.Repeat(" ", 10001), "policy-violation"},
	{"too many attributes", "<a" + strings.Repeat(" a='1'", 70), "policy-violation"},
	{"too many namespaces", "<a" + strings.Repeat(" xmlns:a='1'", 20), "policy-violation"},
	{"too long a name", "<a" + strings.Repeat("a", 300), "policy-violation"},
}

var preauth = stanza.Limits{Size: 10000, Depth: 8, Elements: 32, Attrs: 64, Namespaces: 16, Name: 256, Value: 64 << 10}

// readHeader gives a Conn the text in pieces, then silence.
func readHeader(t *testing.T, in string, piece int, h *Header) error {
	a, b := net.Pipe()
	c := NewConn(a, Options{Namespace: stanza.NSClient, Limits: preauth})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := range slices.Chunk([]byte(in), piece) {
			if _, err := b.Write(p); err != nil {
				return
			}
		}
	}()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	err := c.ReadHeader(h)
	b.Close()
	c.Abort()
	<-done
	return err
}

func TestReadHeader(t *testing.T) {
	for _, tt := range headerTests {
		for _, piece := range []int{1, 7, 1 << 20} {
			var h Header
			err := readHeader(t, tt.in, piece, &h)
			got := ""
			if err != nil {
				var e *Error
				if !errors.As(err, &e) {
					t.Errorf("%s, %d bytes at a time: %v", tt.name, piece, err)
					continue
				}
				got = e.Condition
			}
			if got != tt.want {
				t.Errorf("%s, %d bytes at a time: %q, want %q", tt.name, piece, got, tt.want)
			}
		}
	}
}

func TestHeaderValues(t *testing.T) {
	var h Header
	in := "<?xml version='1.0'?><stream:stream xmlns='jabber:client' " + streamNS +
		" xmlns:db='jabber:server:dialback' to='A.test' from='Bob@a.test/x&amp;&#x20AC;' id='i&lt;&#9;\t\r\n' version='1.0' xml:lang='de-CH' db:lang='no'>"
	if err := readHeader(t, in, 3, &h); err != nil {
		t.Fatal(err)
	}
	if h.To.String() != "a.test" || h.From.String() != "bob@a.test/x&€" || h.ID != "i<\t  " || h.Lang != "de-CH" || h.Version != "1.0" ||
		!slices.Equal(h.Prefixes, []string{"db", "jabber:server:dialback"}) {
		t.Errorf("%+v", h)
	}
	for _, lang := range []string{"de DE", "x_y", "-", "toolongasubtag", strings.Repeat("en-", 20) + "en"} {
		if err := readHeader(t, header("version='1.0' xml:lang='"+lang+"'"), 100, &h); err != nil || h.Lang != "" {
			t.Errorf("lang %q: %v %q", lang, err, h.Lang)
		}
	}
	// What is wrong does not hide who was asked for.
	if err := readHeader(t, header("to='b.test'"), 100, &h); err == nil || h.To.String() != "b.test" {
		t.Errorf("%v %+v", err, h)
	}
}

// Whoever speaks something else learns it from the first byte that cannot be.
func TestHeaderFailsFast(t *testing.T) {
	for _, in := range []string{"G", "\x16", "\x00", "\xEF", "<\x00", "<?p", "<!", "<a ,", "<a b='\x00", "<?xml version='1.0'?>x"} {
		var h Header
		err := readHeader(t, in, 1, &h)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestHeaderPipelinedAndRestart(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	defer conn.Abort()
	write(t, c, clientHeader+"<auth xmlns='x'/>"+clientHeader+"<iq id='1'/> ")
	for _, want := range []string{"auth", "iq"} {
		var h Header
		if err := conn.ReadHeader(&h); err != nil {
			t.Fatal(err)
		}
		st, err := conn.Read()
		if err != nil || st.Name != want {
			t.Fatal(st, err)
		}
		conn.Buffered() // looks ahead, at what is no element
		conn.Restart()
	}
	write(t, c, "\n"+clientHeader) // a keepalive of the stream before
	var h Header
	if err := conn.ReadHeader(&h); err != nil {
		t.Fatal(err)
	}
}

func TestPrefixOfHeader(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, Options{Namespace: stanza.NSServer, Limits: testLimits})
	defer conn.Abort()
	write(t, c, "<stream:stream xmlns='jabber:server' "+streamNS+" xmlns:db='jabber:server:dialback' version='1.0'><db:result to='a'>x</db:result>")
	var h Header
	if err := conn.ReadHeader(&h); err != nil {
		t.Fatal(err)
	}
	st, err := conn.Read()
	if err != nil || st.NS != "jabber:server:dialback" || st.Name != "result" {
		t.Fatal(st, err)
	}
}

func TestWriteHeader(t *testing.T) {
	s, c := tcpPair(t)
	conn := NewConn(s, testOptions())
	defer conn.Abort()
	conn.WriteHeader(Header{From: stanza.MustJID("a.test"), To: stanza.MustJID("o@a.test"), ID: "i'd", Lang: "en", Prefixes: []string{"db", "u"}})
	conn.Flush()
	got := expect(t, c, ">")
	for !strings.HasSuffix(got, "xml:lang='en'>") {
		got += expect(t, c, ">")
	}
	want := "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='u' id='i&apos;d' from='a.test' to='o@a.test' version='1.0' xml:lang='en'>"
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// FuzzHeader compares with encoding/xml: whatever is accepted is well-formed there and means the same.
func FuzzHeader(f *testing.F) {
	for _, tt := range headerTests {
		f.Add([]byte(tt.in), uint8(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		ours := func(first int) (*Header, int, *Error) {
			p := headerParser{lim: preauth}
			var err *Error
			var done bool
			if first > 0 {
				done, err = p.parse(in[:min(first, len(in))])
			}
			if !done && err == nil {
				done, err = p.parse(in)
			}
			if err != nil || !done {
				return nil, p.pos, err
			}
			h := new(Header)
			return h, p.pos, p.fill(h, in, stanza.NSClient)
		}
		h, n, err := ours(0)
		h2, n2, err2 := ours(int(cut))
		if (h == nil) != (h2 == nil) || n != n2 || (err == nil) != (err2 == nil) || err != nil && err.Condition != err2.Condition {
			t.Fatalf("cut at %d: %v %d %v, in one piece %v %d %v", cut, h2, n2, err2, h, n, err)
		}
		if h == nil || err != nil {
			return
		}
		d := xml.NewDecoder(bytes.NewReader(append(in[:n:n], "</stream:stream>"...)))
		var start *xml.StartElement
		for {
			tok, err := d.Token()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("accepted, but: %v", err)
			}
			if s, ok := tok.(xml.StartElement); ok {
				s = s.Copy()
				start = &s
			}
		}
		if start == nil || start.Name.Space != stanza.NSStream || start.Name.Local != "stream" {
			t.Fatalf("root is %v", start)
		}
		theirs := map[string]string{}
		for _, a := range start.Attr {
			if a.Name.Space == "" {
				theirs[a.Name.Local] = a.Value
			}
		}
		// encoding/xml does not normalise white space in attributes.
		flat := strings.NewReplacer("\r\n", " ", "\r", " ", "\n", " ", "\t", " ")
		if flat.Replace(theirs["id"]) != flat.Replace(h.ID) || flat.Replace(theirs["version"]) != flat.Replace(h.Version) || theirs["xmlns"] != stanza.NSClient {
			t.Fatalf("attributes %v, ours %+v", theirs, h)
		}
		if to, ok := theirs["to"]; ok {
			if j, err := stanza.ParseJID(flat.Replace(to)); err == nil && j != h.To {
				t.Fatalf("to %q, ours %q", j, h.To)
			}
		}
	})
}
