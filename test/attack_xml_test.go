package test

import (
	"fmt"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// The attacks on XML and streams. An attack's name begins with the line of the list that it stands for; see
// doc/testing.md. What comes back is read by encoding/xml, so an answer that is not XML fails as well.

// streamHeader is a client's first words.
const streamHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='a.test' version='1.0'>"

// toVictim is a message that must not arrive.
const toVictim = "<message to='bob@a.test' id='evil'><body>" + xtest.Marker + "</body></message>"

// deadly is something for which a stream ends, and nothing of it or behind it may arrive. In text, MSG stands for a
// message to the victim.
type deadly struct {
	what  string
	state string // of the stream: raw, open, tls, ok
	text  string
	want  string // stream errors that will do
}

func (d deadly) run(t *testing.T, g *xtest.Target) {
	t.Helper()
	c := g.Attacker(t, d.state)
	text := strings.ReplaceAll(d.text, "MSG", toVictim)
	if err := c.TrySend(text); err != nil {
		t.Logf("%s: the server closed while we were sending: %v", d.what, err)
	}
	failed := t.Failed()
	c.WantStreamError(strings.Fields(d.want)...)
	g.Untouched(t)
	if t.Failed() && !failed {
		t.Logf("this was: %s", d.what)
	}
}

func runDeadly(t *testing.T, g *xtest.Target, name string, list []deadly) {
	g.Run(t, name, func(t *testing.T) {
		for _, d := range list {
			t.Run(d.what, func(t *testing.T) { d.run(t, g) })
		}
	})
}

const (
	nwf      = "not-well-formed"
	nwfOrNS  = "not-well-formed bad-namespace-prefix"
	restrict = "restricted-xml not-well-formed"
)

// laughs is a document type with the billion laughs.
func laughs() string {
	var b strings.Builder
	b.WriteString("<!DOCTYPE x [<!ENTITY l0 'aaaaaaaaaa'>")
	for i := 1; i < 10; i++ {
		fmt.Fprintf(&b, "<!ENTITY l%d '%s'>", i, strings.Repeat(fmt.Sprintf("&l%d;", i-1), 10))
	}
	return b.String() + "]>"
}

func TestAttackXML(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test", "b.test"}})
	in := func(payload string) string { // a message to the victim with it inside
		return "<message to='bob@a.test'><body>" + xtest.Marker + "</body>" + payload + "</message>MSG"
	}

	runDeadly(t, g, "X01 document type, entities", []deadly{
		{"before the stream header", "raw", laughs() + streamHeader, restrict},
		{"behind the XML declaration", "raw", "<?xml version='1.0'?>" + laughs() + streamHeader, restrict},
		{"external", "raw", "<!DOCTYPE x SYSTEM 'file:///etc/passwd'>" + streamHeader, restrict},
		{"in the stream before TLS", "open", laughs() + "<x>&l9;</x>", restrict},
		{"before login", "tls", laughs() + "<x>&l9;</x>", restrict},
		{"between stanzas", "ok", laughs() + in("<x>&l9;</x>"), restrict},
		{"inside a stanza", "ok", in(laughs() + "<x>&l9;</x>"), restrict},
		{"entity declaration alone", "ok", in("<!ENTITY a 'b'>"), restrict},
		{"element declaration", "ok", in("<!ELEMENT a ANY>"), restrict},
	})
	runDeadly(t, g, "X02 comment", []deadly{
		{"before the stream header", "raw", "<!-- x -->" + streamHeader, "restricted-xml"},
		{"before TLS", "open", "<!-- x -->", "restricted-xml"},
		{"before login", "tls", "<!-- x -->", "restricted-xml"},
		{"between stanzas", "ok", "<!-- x -->MSG", "restricted-xml"},
		{"inside a stanza", "ok", in("<!-- x -->"), "restricted-xml"},
		{"in text", "ok", "<message to='bob@a.test'><body>a<!---->b</body></message>MSG", "restricted-xml"},
	})
	runDeadly(t, g, "X03 processing instruction", []deadly{
		{"before the stream header", "raw", "<?xml-stylesheet href='x'?>" + streamHeader, restrict},
		{"before login", "tls", "<?php x?>", "restricted-xml"},
		{"between stanzas", "ok", "<?php x?>MSG", "restricted-xml"},
		{"inside a stanza", "ok", in("<?php x?>"), "restricted-xml"},
	})
	runDeadly(t, g, "X04 entity reference", []deadly{
		{"in the stream header", "raw", "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='&foo;' version='1.0'>", restrict},
		{"before login", "tls", "<a>&foo;</a>", restrict},
		{"in text", "ok", in("<a>&foo;</a>"), restrict},
		{"in an attribute", "ok", in("<a b='&foo;'/>"), restrict},
		{"of HTML", "ok", in("<a>&nbsp;</a>"), restrict},
		{"in capitals", "ok", in("<a>&LT;</a>"), restrict},
		{"without end", "ok", in("<a>&amp </a>"), restrict},
		{"without name", "ok", in("<a>&;</a>"), restrict},
		{"lone ampersand", "ok", in("<a>a & b</a>"), restrict},
	})
	runDeadly(t, g, "X05 other encoding", []deadly{
		{"declared ISO-8859-1", "raw", strings.Replace(streamHeader, "?>", " encoding='ISO-8859-1'?>", 1), "unsupported-encoding"},
		{"declared UTF-16", "raw", strings.Replace(streamHeader, "?>", " encoding='UTF-16'?>", 1), "unsupported-encoding"},
		{"declared US-ASCII", "raw", strings.Replace(streamHeader, "?>", ` encoding="us-ascii"?>`, 1), "unsupported-encoding"},
		{"UTF-16 with its mark", "raw", "\xfe\xff" + utf16be(streamHeader), nwf + " unsupported-encoding"},
		{"UTF-16 without", "raw", utf16be(streamHeader), nwf + " unsupported-encoding"},
		{"UTF-7", "raw", strings.Replace(streamHeader, "?>", " encoding='utf-7'?>", 1), "unsupported-encoding"},
	})
	g.Run(t, "X05 UTF-8 may be declared", func(t *testing.T) {
		for _, enc := range []string{"UTF-8", "utf-8"} {
			c := g.Attacker(t, "raw")
			c.Send("%s", strings.Replace(streamHeader, "?>", " encoding='"+enc+"'?>", 1))
			c.ReadOpen()
		}
	})
	runDeadly(t, g, "X07 other version of XML", []deadly{
		{"1.1", "raw", strings.Replace(streamHeader, "1.0", "1.1", 1), nwf},
		{"2.0", "raw", strings.Replace(streamHeader, "1.0", "2.0", 1), nwf},
		{"none", "raw", strings.Replace(streamHeader, " version='1.0'?>", "?>", 1), nwf + " restricted-xml"},
	})
	runDeadly(t, g, "X08 XML declaration inside a stanza", []deadly{
		{"in a body", "ok", "<message to='bob@a.test'><body><?xml version='1.0'?></body></message>MSG", restrict},
		{"between stanzas", "ok", "<?xml version='1.0'?>MSG", restrict},
	})

	g.Run(t, "X09 bad UTF-8", func(t *testing.T) {
		for _, seq := range []string{"\xc0\x80", "\xed\xa0\x80", "\xe2\x82\x3c", "\xf4\x90\x80\x80", "\xff", "\xc1\xbf", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\x80", "\xf8\x88\x80\x80\x80"} {
			for place, text := range map[string]string{
				"text":              in("<a>SEQ</a>"),
				"CDATA":             in("<a><![CDATA[SEQ]]></a>"),
				"attribute":         in("<a b='SEQ'/>"),
				"element's name":    in("<aSEQb/>"),
				"attribute's name":  in("<a bSEQc='1'/>"),
				"namespace":         in("<a xmlns='urn:SEQ'/>"),
				"prefix":            in("<aSEQ:b xmlns:aSEQ='urn:x'/>"),
				"between stanzas":   "SEQ" + toVictim,
				"address":           "<message to='bobSEQ@a.test'/>MSG",
				"end of a name":     in("<aSEQ/>"),
				"beginning of name": in("<SEQ/>"),
			} {
				name := fmt.Sprintf("%x in %s", seq, place)
				whole := strings.ReplaceAll(strings.ReplaceAll(text, "SEQ", seq), "MSG", toVictim)
				t.Run(name, func(t *testing.T) {
					deadly{name, "ok", whole, nwf + " bad-format"}.run(t, g)
				})
				if len(seq) < 2 || place != "text" && place != "attribute" {
					continue
				}
				t.Run(name+" split", func(t *testing.T) {
					c := g.Attacker(t, "ok")
					at := strings.Index(whole, seq)
					for i := 1; i < len(seq); i++ {
						if c.TrySend(whole[:at+i]) != nil { // a TLS record each
							break
						}
						whole, at = whole[at+i:], -i
					}
					c.TrySend(whole)
					c.WantStreamError(nwf)
					g.Untouched(t)
				})
			}
		}
		for name, text := range map[string]string{"header": strings.Replace(streamHeader, "a.test", "a\xff.test", 1), "first": "\xff"} {
			deadly{name, "raw", text, nwf}.run(t, g)
		}
	})
	g.Run(t, "X10 characters that XML does not have", func(t *testing.T) {
		for _, seq := range []string{"&#0;", "&#1;", "&#8;", "&#x0;", "&#xB;", "&#xD800;", "&#xDFFF;", "&#xFFFE;", "&#xFFFF;", "&#x110000;",
			"&#99999999999999999999;", "&#x;", "&#;", "&#-1;", "&#X41;", "&#1a;", "\x00", "\x01", "\x08", "\x0b", "\x1f", "\ufffe", "\uffff"} {
			for place, text := range map[string]string{"text": in("<a>SEQ</a>"), "attribute": in("<a b='SEQ'/>")} {
				name := fmt.Sprintf("%q in %s", seq, place)
				t.Run(name, func(t *testing.T) {
					deadly{name, "ok", strings.ReplaceAll(text, "SEQ", seq), nwf}.run(t, g)
				})
			}
		}
	})
	runDeadly(t, g, "X11 undeclared prefix", []deadly{
		{"stanza", "ok", "<foo:b/>MSG", nwfOrNS},
		{"payload", "ok", in("<foo:b/>"), nwfOrNS},
		{"attribute", "ok", in("<a foo:x='1'/>"), nwfOrNS},
		{"attribute of the stanza", "ok", "<message to='bob@a.test' foo:x='1'/>MSG", nwfOrNS},
		{"declared elsewhere", "ok", in("<a xmlns:foo='urn:foo'/><foo:b/>"), nwfOrNS},
		{"declared in the stanza before", "ok", "<message xmlns:foo='urn:foo' to='carol@a.test'/><message to='bob@a.test'><foo:b/></message>MSG", nwfOrNS},
		{"root", "raw", "<stream:stream xmlns='jabber:client' to='a.test' version='1.0'>", nwfOrNS + " invalid-namespace"},
	})
	runDeadly(t, g, "X12 the same attribute twice", []deadly{
		{"of the stanza", "ok", "<message to='bob@a.test' id='1' id='2'/>MSG", nwf},
		{"to", "ok", "<message to='bob@a.test' to='carol@a.test'/>MSG", nwf},
		{"by two prefixes", "ok", in("<a xmlns:p='u' xmlns:q='u' p:x='1' q:x='2'/>"), nwf},
		{"by two prefixes, one escaped", "ok", in("<a xmlns:p='urn:a&amp;b' xmlns:q='urn:a&#38;b' p:x='1' q:x='2'/>"), nwf},
		{"by prefixes of two levels", "ok", in("<y xmlns:p='u'><a xmlns:q='u' p:x='1' q:x='2'/></y>"), nwf},
		{"declaration", "ok", in("<a xmlns:p='u' xmlns:p='v'/>"), nwf},
		{"default declaration", "ok", in("<a xmlns='u' xmlns='v'/>"), nwf},
		{"of the stream header", "raw", strings.Replace(streamHeader, "to=", "to='b.test' to=", 1), nwf},
	})
	runDeadly(t, g, "X13 bad namespace declarations", []deadly{
		{"empty", "ok", in("<a xmlns:p=''/>"), nwfOrNS},
		{"xml", "ok", in("<a xmlns:xml='urn:e'/>"), nwfOrNS},
		{"xmlns", "ok", in("<a xmlns:xmlns='urn:e'/>"), nwfOrNS},
		{"other prefix for xml", "ok", in("<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>"), nwfOrNS},
		{"other prefix for xmlns", "ok", in("<a xmlns:p='http://www.w3.org/2000/xmlns/'/>"), nwfOrNS},
		{"xml as default", "ok", in("<a xmlns='http://www.w3.org/XML/1998/namespace'/>"), nwfOrNS},
		{"control character", "ok", in("<a xmlns='urn:\x01'/>"), nwf},
		{"control character by reference", "ok", in("<a xmlns='urn:&#1;'/>"), nwf},
		// What could be parsed by us and not by namespace-aware parsers elsewhere, which use such characters as separators.
		{"line feed", "ok", in("<a xmlns='urn:a&#10;b'/>"), nwfOrNS},
		{"space", "ok", in("<a xmlns='urn:a b'/>"), nwfOrNS},
		{"form feed in a prefix", "ok", in("<a xmlns:p='urn:&#12;'/>"), nwfOrNS},
	})
	runDeadly(t, g, "X14 bad names", []deadly{
		{":a", "ok", in("<:a/>"), nwfOrNS},
		{"a:", "ok", in("<a:/>"), nwfOrNS},
		{"a:b:c", "ok", in("<a:b:c xmlns:a='urn:a'/>"), nwfOrNS},
		{"a::b", "ok", in("<a::b xmlns:a='urn:a'/>"), nwfOrNS},
		{"1a", "ok", in("<1a/>"), nwf},
		{"-a", "ok", in("<-a/>"), nwf},
		{".a", "ok", in("<.a/>"), nwf},
		{"a:1", "ok", in("<a:1 xmlns:a='urn:a'/>"), nwf},
		{"attribute 1a", "ok", in("<b 1a='x'/>"), nwf},
		{"attribute :a", "ok", in("<b :a='x'/>"), nwfOrNS},
		{"attribute a:", "ok", in("<b a:='x'/>"), nwfOrNS},
		{"space before the name", "ok", in("< a/>"), nwf},
		{"none", "ok", in("<>"), nwf},
		// Names by the fifth edition of XML 1.0 alone: expat and others go by the fourth, so it would be their streams that end.
		{"of the fifth edition", "ok", in("<\U00010000/>"), nwf},
		{"of the fifth edition, attribute", "ok", in("<a b\u0237='x'/>"), nwf},
		{"not a name character", "ok", in("<a\u00d7/>"), nwf},
		{"declared prefix with a colon", "ok", in("<a xmlns:b:c='urn:x'/>"), nwfOrNS},
	})
	runDeadly(t, g, "X15 bad tags and text", []deadly{
		{"no space between attributes", "ok", in("<a b='1'c='2'/>"), nwf},
		{"no quotes", "ok", in("<a b=1/>"), nwf},
		{"no value", "ok", in("<a b/>"), nwf},
		{"< in an attribute", "ok", in("<a b='<'/>"), nwf},
		{"mixed quotes", "ok", in("<a b='1\"/>") + "'>", nwf},
		{"]]> in text", "ok", in("<a>]]></a>"), nwf},
		{"wrong end tag", "ok", "<message to='bob@a.test'></presence>MSG", nwf},
		{"end tags crossed", "ok", in("<a><b></a></b>"), nwf},
		{"end tag with another prefix", "ok", in("<p:a xmlns:p='u' xmlns:q='u'></q:a>"), nwf},
		{"attributes on an end tag", "ok", "<message to='bob@a.test'></message a='1'>MSG", nwf},
		{"end tag of nothing", "ok", "</message>MSG", nwf},
		{"slash in the middle", "ok", in("<a / b='1'>"), nwf},
		{"CDATA in lower case", "ok", in("<![cdata[x]]>"), "not-well-formed restricted-xml"},
		{"CDATA between stanzas", "ok", "<![CDATA[x]]>MSG", "not-well-formed bad-format"},
		{"text between stanzas", "ok", "hello" + toVictim, "bad-format not-well-formed"},
		{"stream's end tag inside a stanza", "ok", "<message to='bob@a.test'></stream:stream>MSG", nwf},
		{"header without quotes", "raw", strings.Replace(streamHeader, "to='a.test'", "to=a.test", 1), nwf},
		{"header without space", "raw", strings.Replace(streamHeader, "' to=", "'to=", 1), nwf},
	})
	g.Run(t, "X15 second root", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		c.TrySend("</stream:stream><foo/>" + toVictim)
		c.WantClosed()
		g.Untouched(t)
	})

	header := func(old, new string) string { return strings.Replace(streamHeader, old, new, 1) }
	runDeadly(t, g, "X16 wrong stream namespace", []deadly{
		{"another", "raw", header("http://etherx.jabber.org/streams", "http://wrong.example/streams"), "invalid-namespace"},
		{"with a slash", "raw", header("etherx.jabber.org/streams", "etherx.jabber.org/streams/"), "invalid-namespace"},
		{"another prefix", "raw", strings.ReplaceAll(streamHeader, "stream:stream", "s:stream") + "", "bad-namespace-prefix not-well-formed"},
		{"another prefix, declared", "raw", strings.NewReplacer("stream:stream", "s:stream", "xmlns:stream", "xmlns:s").Replace(streamHeader), "bad-namespace-prefix"},
	})
	runDeadly(t, g, "X17 wrong default namespace", []deadly{
		{"jabber:evil", "raw", header("jabber:client", "jabber:evil"), "invalid-namespace"},
		{"jabber:server", "raw", header("jabber:client", "jabber:server"), "invalid-namespace"},
		{"none", "raw", header("xmlns='jabber:client' ", ""), "invalid-namespace"},
		{"that of streams", "raw", "<stream xmlns='http://etherx.jabber.org/streams' to='a.test' version='1.0'>", "invalid-namespace bad-namespace-prefix"},
	})
	runDeadly(t, g, "X18 something else", []deadly{
		{"another root", "raw", "<foo xmlns='jabber:client'>", "invalid-namespace bad-format not-well-formed"},
		{"a stanza", "raw", toVictim, "invalid-namespace bad-format not-well-formed"},
		{"junk", "raw", "junk", "bad-format not-well-formed"},
		{"empty stream", "raw", strings.TrimSuffix(streamHeader, ">") + "/>", "bad-format not-well-formed"},
	})
	g.Run(t, "X19 other protocols", func(t *testing.T) { otherProtocols(t, g) })
	runDeadly(t, g, "X20 to", []deadly{
		{"none", "raw", header(" to='a.test'", ""), "improper-addressing host-unknown"},
		{"empty", "raw", header("a.test", ""), "improper-addressing host-unknown"},
		{"no address", "raw", header("a.test", "@@"), "improper-addressing host-unknown"},
		{"a user", "raw", header("a.test", "bob@a.test"), "improper-addressing host-unknown"},
	})
	g.Run(t, "X20 unknown host", func(t *testing.T) {
		c := g.Attacker(t, "raw")
		c.Send("%s", header("a.test", "c.test"))
		h := c.Must() // RFC 6120 §4.9.1.2: the header comes first
		if h.Name.Local != "stream" || h.Attr("id") == "" || h.Attr("version") != "1.0" {
			t.Errorf("the answer begins with %s", h)
		}
		c.WantStreamError("host-unknown")
	})
	runDeadly(t, g, "X21 version", []deadly{
		{"none", "raw", header("' version='1.0'>", "'>") + "<iq type='get' id='1'><query xmlns='jabber:iq:auth'><username>bob</username></query></iq>", "unsupported-version"},
		{"0.9", "raw", strings.Replace(streamHeader, "to='a.test' version='1.0'", "to='a.test' version='0.9'", 1), "unsupported-version"},
		{"junk", "raw", strings.Replace(streamHeader, "to='a.test' version='1.0'", "to='a.test' version='x'", 1), "unsupported-version"},
		{"jabber:iq:auth anyway", "open", "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>bob</username><password>" + xtest.Password + "</password></query></iq>", "not-authorized"},
		{"jabber:iq:auth under TLS", "tls", "<iq type='set' id='1'><query xmlns='jabber:iq:auth'><username>bob</username><password>" + xtest.Password + "</password></query></iq>", "not-authorized"},
	})
	runDeadly(t, g, "X22 second stream", []deadly{
		{"inside", "ok", strings.TrimPrefix(streamHeader, "<?xml version='1.0'?>") + toVictim, nwf + " bad-format unsupported-stanza-type"},
		{"inside, empty", "ok", "<stream:stream/>MSG", nwf + " bad-format unsupported-stanza-type"},
		{"before login", "tls", strings.TrimPrefix(streamHeader, "<?xml version='1.0'?>"), nwf + " bad-format unsupported-stanza-type"},
		{"with its declaration", "ok", streamHeader + toVictim, restrict},
	})
	for name, behind := range map[string]string{
		"stream":                    strings.TrimPrefix(streamHeader, "<?xml version='1.0'?>") + toVictim,
		"stream with a declaration": streamHeader + toVictim,
		"message":                   toVictim,
	} {
		g.Run(t, "X22 behind the end: "+name, func(t *testing.T) { // CVE-2022-20917
			c := g.Attacker(t, "ok")
			c.TrySend("</stream:stream>" + behind)
			if got := c.WantClosed(); len(got) > 0 {
				t.Errorf("behind the end of the stream came %s", got)
			}
			g.Untouched(t)
		})
	}
	runDeadly(t, g, "X24 what is no stanza", []deadly{
		{"another namespace", "ok", "<foo xmlns='urn:foo'/>MSG", "unsupported-stanza-type"},
		{"another name", "ok", "<foo/>MSG", "unsupported-stanza-type"},
		{"capitals", "ok", "<Message to='bob@a.test'/>MSG", "unsupported-stanza-type"},
		{"features", "ok", "<stream:features/>MSG", "unsupported-stanza-type bad-format bad-namespace-prefix"},
	})
	runDeadly(t, g, "X25 stanzas of servers", []deadly{
		{"message", "ok", "<message xmlns='jabber:server' from='admin@a.test' to='bob@a.test'><body>" + xtest.Marker + "</body></message>MSG", "invalid-namespace unsupported-stanza-type"},
		{"by a prefix", "ok", "<s:message xmlns:s='jabber:server' from='admin@a.test' to='bob@a.test'/>MSG", "invalid-namespace unsupported-stanza-type bad-namespace-prefix"},
		{"no namespace", "ok", "<message xmlns='' to='bob@a.test'/>MSG", "invalid-namespace unsupported-stanza-type"},
		{"dialback", "ok", "<db:result xmlns:db='jabber:server:dialback' from='a.test' to='a.test'/>MSG", "unsupported-stanza-type bad-namespace-prefix invalid-namespace"},
		{"dialback before login", "tls", "<db:result xmlns:db='jabber:server:dialback' from='a.test' to='a.test'/>", "not-authorized unsupported-stanza-type bad-namespace-prefix"},
	})
	g.Run(t, "X28 stanzas inside stanzas", func(t *testing.T) { nested(t, g) })
	g.Run(t, "X29 60 KB attribute, then silence", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		big := strings.Repeat("x", 60000)
		c.Send("<message to='bob@a.test' id='big'><a xmlns='urn:a' b='%s'/></message>", big)
		if n := g.Victim.Want("<message id='big'><a xmlns='urn:a' b='*'/></message>"); n.Child("a").Attr("b") != big {
			t.Error("the attribute arrived damaged")
		}
	})
	runDeadly(t, g, "X30 stanzas before login", []deadly{
		{"message", "tls", toVictim, "not-authorized"},
		{"presence", "tls", "<presence to='bob@a.test' type='subscribe'/>", "not-authorized"},
		{"iq", "tls", "<iq to='bob@a.test/desk' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", "not-authorized"},
		{"iq to the server", "tls", "<iq type='get' id='1'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>", "not-authorized"},
		{"message in clear", "open", toVictim, "not-authorized"},
		{"SM enable", "tls", "<enable xmlns='urn:xmpp:sm:3'/>MSG", "not-authorized"},
		{"SM ack", "tls", "<r xmlns='urn:xmpp:sm:3'/>", "not-authorized"},
	})
	g.Run(t, "X30 stanzas before bind", func(t *testing.T) { // RFC 6120 §7.1
		for _, text := range []string{toVictim, "<presence/>", "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"} {
			c := g.Attacker(t, "tls")
			c.Auth(sasl.Plain, "mallory", xtest.Password)
			c.Send("%s", text)
			c.WantStreamError("not-authorized")
		}
		g.Untouched(t)
	})
	g.Run(t, "X31 bad iq", func(t *testing.T) { badIQ(t, g) })
	runDeadly(t, g, "X32 bind before login", []deadly{
		{"under TLS", "tls", "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>", "not-authorized"},
		{"in clear", "open", "<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", "not-authorized"},
	})
	g.Run(t, "X32 second bind", func(t *testing.T) {
		c := g.Attacker(t, "ok")
		c.Send("<iq type='set' id='2'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>desk</resource></bind></iq>")
		c.Want("<iq type='error' id='2'><error><none name='text'/></error></iq>")
		g.Victim.Send("<message to='%s' id='still'/>", c.JID)
		c.Want("<message id='still'/>")
		c.Quiet()
	})
	g.Run(t, "X34 stream ids", func(t *testing.T) { streamIDs(t, g) })
	g.Run(t, "X35 texts tell nothing of our insides", func(t *testing.T) { texts(t, g) })
	g.Run(t, "X36 another host after login", func(t *testing.T) { otherHost(t, g) })
}

// utf16be is text in UTF-16.
func utf16be(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		b.WriteByte(0)
		b.WriteByte(c)
	}
	return b.String()
}

// nested is X28: what is inside a stanza is cargo, whatever it looks like.
func nested(t *testing.T, g *xtest.Target) {
	for name, payload := range map[string]string{
		"bind in forwarded":   "<forwarded xmlns='urn:xmpp:forward:0'><iq xmlns='jabber:client' type='set' id='evil'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>evil</resource></bind></iq></forwarded>",
		"iq in x":             "<x xmlns='jabber:client'><iq type='set' id='evil'><query xmlns='jabber:iq:roster'><item jid='evil@a.test'/></query></iq></x>",
		"iq as child":         "<iq type='set' id='evil'><query xmlns='jabber:iq:roster'><item jid='evil@a.test'/></query></iq>",
		"message as child":    "<message to='carol@a.test' id='evil'><body>" + xtest.Marker + "</body></message>",
		"presence as child":   "<presence type='subscribe' to='carol@a.test' id='evil'/>",
		"in CDATA":            "<a xmlns='urn:a'><![CDATA[</a></message><message to='carol@a.test' id='evil'/>]]></a>",
		"in an attribute":     "<a xmlns='urn:a' b=\"'/&gt;&lt;/message>&lt;message to='carol@a.test' id='evil'/>\"/>",
		"as text":             "<a xmlns='urn:a'>&lt;/a>&lt;/message>&lt;message to='carol@a.test' id='evil'/></a>",
		"end tag in CDATA":    "<a xmlns='urn:a'><![CDATA[</stream:stream>]]></a>",
		"stream error inside": "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
		"SASL success inside": "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>",
		"sm ack inside":       "<a xmlns='urn:xmpp:sm:3' h='100'/>",
		"deep":                strings.Repeat("<x xmlns='urn:x'>", 50) + "<iq xmlns='jabber:client' type='set' id='evil'><query xmlns='jabber:iq:roster'><item jid='evil@a.test'/></query></iq>" + strings.Repeat("</x>", 50),
	} {
		t.Run(name, func(t *testing.T) {
			defer g.As(t)()
			c := g.Attacker(t, "ok")
			c.Send("<message to='bob@a.test' id='outer'>%s</message>", payload)
			if got := c.Barrier(); len(got) > 0 {
				t.Errorf("the sender was answered %s", got)
			}
			g.Victim.Want("<message id='outer' from='%s'/>", c.JID)
			g.Untouched(t)
			if got := g.Bystander.Barrier(); len(got) > 0 {
				t.Errorf("the address inside got %s", got)
			}
			c.Send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
			if r := c.Want("<iq type='result' id='r'/>"); r.Find("item") != nil {
				t.Errorf("the roster has changed: %s", r)
			}
		})
	}
}

// badIQ is X31 (RFC 6120 §8.2.3, §8.3.1).
func badIQ(t *testing.T, g *xtest.Target) {
	c := g.Attacker(t, "ok")
	const ping = "<ping xmlns='urn:xmpp:ping'/>"
	for _, to := range []string{"", " to='a.test'", " to='bob@a.test'", " to='bob@a.test/desk'", " to='nobody@a.test'"} {
		for name, iq := range map[string]string{
			"without id":       "<iq type='get'%s>" + ping + "</iq>",
			"set without id":   "<iq type='set'%s>" + ping + "</iq>",
			"type foo":         "<iq type='foo' id='bad'%s>" + ping + "</iq>",
			"no type":          "<iq id='bad'%s>" + ping + "</iq>",
			"type in capitals": "<iq id='bad' type='GET'%s>" + ping + "</iq>",
			"no child":         "<iq type='get' id='bad'%s/>",
			"two children":     "<iq type='get' id='bad'%s>" + ping + ping + "</iq>",
			"set, no child":    "<iq type='set' id='bad'%s> </iq>",
		} {
			c.Send(iq, to)
			got := c.Want("<iq type='error'><error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
			if strings.Contains(iq, "id='bad'") != (got.Attr("id") == "bad") {
				t.Errorf("%s%s: the answer's id is %q", name, to, got.Attr("id"))
			}
			g.Untouched(t)
		}
	}
	for _, to := range []string{"", " to='a.test'", " to='bob@a.test'", " to='nobody@a.test'", " to='nobody@a.test/x'", " to='" + c.JID + "x'"} {
		c.Send("<iq type='result' id='bad'%s/>", to)
		c.Send("<iq type='result' id='bad'%s>"+ping+"</iq>", to)
		c.Send("<iq type='error' id='bad'%s><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", to)
		c.Send("<iq type='error' id='bad'%s/>", to)
		if got := c.Barrier(); len(got) > 0 {
			t.Errorf("result and error%s were answered: %s", to, got)
		}
	}
	g.Untouched(t)
}
