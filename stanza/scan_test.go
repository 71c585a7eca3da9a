package stanza

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// scanAll feeds in to a scanner in the given pieces and returns the elements, and the error that ended it: ErrMore where
// the bytes were used up between two elements.
func scanAll(sc *Scanner, in string, piece int) (els []*Stanza, err error) {
	var buf []byte
	var st Stanza
	rest := in
	for {
		n, err := sc.Scan(buf, &st)
		if err == nil {
			els = append(els, st.Retain())
		}
		buf = append([]byte(nil), buf[n:]...) // moved on purpose
		switch {
		case err == nil:
		case err != ErrMore:
			return els, err
		case rest == "":
			if sc.Inside() {
				return els, errUnfinished
			}
			return els, ErrMore
		default:
			k := min(piece, len(rest))
			buf = append(buf, rest[:k]...)
			rest = rest[k:]
		}
	}
}

func condition(err error) string {
	var se *SyntaxError
	switch {
	case err == ErrMore:
		return ""
	case err == ErrStreamEnd:
		return "end"
	case err == errUnfinished:
		return "unfinished"
	case errors.As(err, &se):
		return se.Condition
	}
	return fmt.Sprint(err)
}

const (
	nwf        = "not-well-formed"
	restricted = "restricted-xml"
	badPrefix  = "bad-namespace-prefix"
	policy     = "policy-violation"
	badFormat  = "bad-format"
)

// The ids are those of the list of hostile input.
var scanCases = []struct {
	name, in string
	want     string // the condition of the error
	els      int    // elements before it
}{
	{"empty", "", "", 0},
	{"white space", " \t\r\n ", "", 0},
	{"nonza", "<r xmlns='urn:xmpp:sm:3'/>", "", 1},
	{"two", "<r xmlns='urn:xmpp:sm:3'/> \n<iq id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>", "", 2},
	{"end", "<iq/></stream:stream>", "end", 1},
	{"end with space", "</stream:stream \n>", "end", 0},
	{"unfinished", "<message><body>hi</body>", "unfinished", 0},
	{"cdata", "<message><body><![CDATA[<evil/>&amp;]] >]]></body></message>", "", 1},
	{"entities", "<m a='&lt;&gt;&amp;&apos;&quot;&#65;&#x1F600;'>&lt;&gt;&amp;&apos;&quot;&#65;&#x10FFFF;</m>", "", 1},
	{"quotes", `<m a='"' b="'"/>`, "", 1},
	{"spaces in tags", "<m  a = '1'\n\tb\r=\n\"2\" ><n\n/></m\n>", "", 1},
	{"greater in value and text", "<m a='>'>></m>", "", 1},
	{"brackets", "<m>]]&gt;]] >]</m>", "", 1},
	{"non-ASCII", "<m é='ü'>\u20ac\U0001f600\u0085</m>", "", 1},
	{"xml attributes", "<m xml:lang='de' xml:space='preserve'/>", "", 1},
	{"xml declared as itself", "<m xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de'/>", "", 1},
	{"prefixes", "<m xmlns:p='urn:p' p:a='1' a='2'><p:n xmlns:p='urn:q' p:a='1'/><p:n/></m>", "", 1},
	{"no namespace", "<m xmlns=''><n xmlns='urn:n'><o xmlns=''/></n></m>", "", 1},
	{"other prefix at the top", "<db:result xmlns:db='jabber:server:dialback'/>", "", 1},
	{"stream error", "<stream:error><not-well-formed xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", "", 1},

	{"X01 before", "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><iq/>", restricted, 0},
	{"X01 inside", "<iq><!DOCTYPE x [<!ENTITY a 'aaaa'>]></iq>", restricted, 0},
	{"X01 between", "<iq/><!DOCTYPE x><iq/>", restricted, 1},
	{"X02 comment", "<iq><!-- x --></iq>", restricted, 0},
	{"X02 comment between", "<!-- x --><iq/>", restricted, 0},
	{"X03 instruction", "<iq><?php x?></iq>", restricted, 0},
	{"X03 instruction between", "<?php x?>", restricted, 0},
	{"X04 entity", "<a>&foo;</a>", restricted, 0},
	{"X04 entity in a value", "<a b='&foo;'/>", restricted, 0},
	{"X04 entity beginning like one of the five", "<a>&ltt;</a>", restricted, 0},
	{"X08 late declaration", "<message><body><?xml version='1.0'?></body></message>", restricted, 0},
	{"X09 overlong", "<a>\xc0\x80</a>", nwf, 0},
	{"X09 overlong 3", "<a>\xe0\x80\x80</a>", nwf, 0},
	{"X09 overlong 4", "<a>\xf0\x80\x80\x80</a>", nwf, 0},
	{"X09 surrogate", "<a>\xed\xa0\x80</a>", nwf, 0},
	{"X09 cut short", "<a>\xe2\x82<</a>", nwf, 0},
	{"X09 too high", "<a>\xf4\x90\x80\x80</a>", nwf, 0},
	{"X09 FF", "<a>\xff</a>", nwf, 0},
	{"X09 in a name", "<a\xff/>", nwf, 0},
	{"X09 in an attribute's name", "<a \xed\xa0\x80='1'/>", nwf, 0},
	{"X09 in a value", "<a b='\xc0\x80'/>", nwf, 0},
	{"X09 in CDATA", "<a><![CDATA[\xe2\x82<]]></a>", nwf, 0},
	{"X09 between", "\xc0\x80", nwf, 0},
	{"X10 zero", "<a>&#0;</a>", nwf, 0},
	{"X10 one", "<a b='&#1;'/>", nwf, 0},
	{"X10 raw", "<a>\x08</a>", nwf, 0},
	{"X10 raw in a value", "<a b='\x08'/>", nwf, 0},
	{"X10 raw in CDATA", "<a><![CDATA[\x00]]></a>", nwf, 0},
	{"X10 raw between", "\x00\x00", nwf, 0},
	{"X10 FFFE", "<a>\ufffe</a>", nwf, 0},
	{"X10 FFFF in a value", "<a b='\uffff'/>", nwf, 0},
	{"X10 surrogate", "<a>&#xD800;</a>", nwf, 0},
	{"X10 beyond", "<a>&#x110000;</a>", nwf, 0},
	{"X10 wraps around", "<a>&#x100000041;</a>", nwf, 0},
	{"X10 empty", "<a>&#;</a>", nwf, 0},
	{"X10 empty hex", "<a>&#x;</a>", nwf, 0},
	{"X10 capital X", "<a>&#X41;</a>", nwf, 0},
	{"X10 sign", "<a>&#-1;</a>", nwf, 0},
	{"X10 zeros without end", "<a>&#000000000000000000000000065;</a>", nwf, 0},
	{"bare ampersand", "<a>& </a>", nwf, 0},
	{"X11 element", "<foo:b/>", badPrefix, 0},
	{"X11 child", "<a><foo:b/></a>", badPrefix, 0},
	{"X11 grandchild", "<a><b><foo:c/></b></a>", badPrefix, 0},
	{"X11 attribute", "<a foo:x='1'/>", badPrefix, 0},
	{"X11 out of scope", "<a><b xmlns:p='urn:p'/><p:c/></a>", badPrefix, 0},
	{"X12 twice", "<a id='1' id='2'/>", nwf, 0},
	{"X12 twice, expanded", "<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>", nwf, 0},
	{"X12 twice, expanded and escaped", "<a xmlns:p='u' xmlns:q='&#117;' p:x='1' q:x='2'/>", nwf, 0},
	{"X12 declared twice", "<a xmlns='u' xmlns='u'/>", nwf, 0},
	{"X13 empty", "<a xmlns:p=''/>", nwf, 0},
	{"X13 xml", "<a xmlns:xml='urn:e'/>", nwf, 0},
	{"X13 xmlns", "<a xmlns:xmlns='urn:e'/>", nwf, 0},
	{"X13 xmlns as itself", "<a xmlns:xmlns='http://www.w3.org/2000/xmlns/'/>", nwf, 0},
	{"X13 other prefix for xml", "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>", nwf, 0},
	{"X13 default xml", "<a xmlns='http://www.w3.org/XML/1998/namespace'/>", nwf, 0},
	{"X13 default xmlns", "<a xmlns='http://www.w3.org/2000/xmlns/'/>", nwf, 0},
	{"X13 newline in URI", "<a><b xmlns='u&#10;v'/></a>", nwf, 0},
	{"X13 space in URI", "<a><b xmlns:p='u v'/></a>", nwf, 0},
	{"X13 brace in URI", "<a><b xmlns:p='u}v'/></a>", nwf, 0},
	{"X13 control in URI", "<a><b xmlns:p='u\x01v'/></a>", nwf, 0},
	{"X14 :a", "<:a/>", nwf, 0},
	{"X14 a:", "<a:/>", nwf, 0},
	{"X14 a:b:c", "<a:b:c xmlns:a='u'/>", nwf, 0},
	{"X14 digit", "<1a/>", nwf, 0},
	{"X14 dash", "<-a/>", nwf, 0},
	{"X14 digit behind the colon", "<a:1 xmlns:a='u'/>", nwf, 0},
	{"X14 attribute", "<a :b='1'/>", nwf, 0},
	{"X14 attribute b:", "<a b:='1'/>", nwf, 0},
	{"X14 sign", "<a\u00d7/>", nwf, 0},
	{"X14 combining first", "<\u0300a/>", nwf, 0},
	{"X14 empty", "< a/>", nwf, 0},
	{"X15 no space", "<a b='1'c='2'/>", nwf, 0},
	{"X15 no quotes", "<a b=1/>", nwf, 0},
	{"X15 no value", "<a b/>", nwf, 0},
	{"X15 less", "<a b='<'/>", nwf, 0},
	{"X15 ]]>", "<a>]]></a>", nwf, 0},
	{"X15 ]]]>", "<a>]]]></a>", nwf, 0},
	{"X15 wrong end tag", "<a></b>", nwf, 0},
	{"X15 longer end tag", "<a></ab>", nwf, 0},
	{"X15 end tag of the stream inside", "<a></stream:stream>", nwf, 0},
	{"X15 attributes on end tag", "<a></a b='1'>", nwf, 0},
	{"X15 end tag alone", "</a>", nwf, 0},
	{"X15 after the end", "</stream:stream><iq/>", "end", 0},
	{"X15 slash", "<a / >", nwf, 0},
	{"X17 prefix on a stanza", "<c:message xmlns:c='jabber:client'/>", badPrefix, 0},
	{"X18 junk", "junk", badFormat, 0},
	{"X18 junk between", "<iq/>junk<iq/>", badFormat, 1},
	{"X18 CDATA between", "<iq/><![CDATA[ ]]>", badFormat, 1},
	{"X18 reference between", "<iq/>&#32;", badFormat, 1},
	{"BOM between", "<iq/>\ufeff", badFormat, 1},
	{"X19 HTTP", "GET / HTTP/1.1\r\n", badFormat, 0},
	{"X19 TLS", "\x16\x03\x01", nwf, 0},
	{"X22 second header", "<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='x'>", nwf, 0},
	{"X22 in other words", "<stream xmlns='http://etherx.jabber.org/streams'/>", nwf, 0},
	{"X22 end and new", "</stream:stream><stream:stream>", "end", 0},
	{"CDATA misspelt", "<a><![CData[]]></a>", nwf, 0},
	{"element declaration", "<a><!ELEMENT a></a>", restricted, 0},
}

func TestScan(t *testing.T) {
	for _, c := range scanCases {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{len(c.in) + 1, 1, 2, 3, 5, 7, 16} {
				els, err := scanAll(new(Scanner), c.in, piece)
				if got := condition(err); got != c.want || len(els) != c.els {
					t.Errorf("in pieces of %d: %d elements, %q; want %d, %q", piece, len(els), got, c.els, c.want)
				}
			}
			for cut := 1; cut < len(c.in); cut++ {
				els, err := scanAll(new(Scanner), c.in[:cut], cut)
				if err == ErrMore || err == errUnfinished {
					continue // nothing wrong yet
				}
				if got := condition(err); got != c.want || len(els) != c.els {
					t.Errorf("cut at %d: %q, want %q", cut, got, c.want)
				}
			}
		})
	}
}

func TestScanLimits(t *testing.T) {
	l := Limits{Size: 1000, Depth: 4, Elements: 10, Attrs: 5, Namespaces: 3, Name: 8, Value: 100}
	attrs := func(n int, f string) (s string) {
		for i := range n {
			s += fmt.Sprintf(f, i)
		}
		return s
	}
	rep := strings.Repeat
	for _, c := range []struct {
		name, in, want string
		n              int
	}{
		{"size", "<a>" + rep("x", 993) + "</a>", "", 1},
		{"size and one", "<a>" + rep("x", 994) + "</a>", policy, 0},
		{"size, unfinished", "<a>" + rep("x", 997), policy, 0},
		{"size less one, unfinished", "<a>" + rep("x", 996), "unfinished", 0},
		{"size of each", rep("<a>"+rep("x", 993)+"</a> ", 3), "", 3},
		{"white space is not counted", rep(" ", 5000) + "<a/>", "", 1},
		{"white space in a tag", "<a" + rep(" ", 1000), policy, 0},
		{"size in many tags", "<a><b>" + rep("<c/>", 500), policy, 0},
		{"depth", "<a><a><a><a/></a></a></a>", "", 1},
		{"depth and one", "<a><a><a><a><a", policy, 0},
		{"elements", "<a>" + rep("<b/>", 9) + "</a>", "", 1},
		{"elements and one", "<a>" + rep("<b/>", 9) + "<b", policy, 0},
		{"attributes", "<a" + attrs(3, " xmlns:a%d='u%[1]d'") + attrs(5, " a%d='1'") + "/>", "", 1},
		{"attributes and one", "<a" + attrs(5, " a%d='1'") + " b=", policy, 0},
		{"namespaces and one", "<a" + attrs(3, " xmlns:a%d='u'") + " xmlns=", policy, 0},
		{"name", "<abcdefgh/>", "", 1},
		{"name and one", "<abcdefghi", policy, 0},
		{"attribute's name and one", "<a abcdefghi", policy, 0},
		{"value", "<a b='" + rep("x", 100) + "'/>", "", 1},
		{"value and one", "<a b='" + rep("x", 101), policy, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, piece := range []int{len(c.in), 1, 7} {
				els, err := scanAll(&Scanner{Limits: l}, c.in, piece)
				if got := condition(err); got != c.want || len(els) != c.n {
					t.Errorf("in pieces of %d: %d elements, %q; want %d, %q", piece, len(els), got, c.n, c.want)
				}
			}
		})
	}
}
