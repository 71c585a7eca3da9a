package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"reflect"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// What is sent arrives as it was sent: the same tree for every parser (X27), however the bytes are cut (X29).

const wrap = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'%s>"

// faithful are payloads of a message. One that begins with @ is a whole stanza, TO its address.
var faithful = map[string]string{
	"text":                          "<body>hello</body>",
	"empty element":                 "<a xmlns='urn:a'/>",
	"empty pair of tags":            "<a xmlns='urn:a'></a>",
	"no payload":                    "",
	"prefixed element":              "<p:a xmlns:p='urn:p'><p:b/><c/></p:a>",
	"prefixed attribute":            "<a xmlns='urn:a' xmlns:p='urn:p' p:b='1' b='2'/>",
	"prefix declared anew":          "<p:a xmlns:p='urn:1'><p:a xmlns:p='urn:2' p:x='1'/><p:b p:x='2'/></p:a>",
	"two prefixes, one namespace":   "<p:a xmlns:p='urn:1' xmlns:q='urn:1'><q:a p:x='1' q:y='2'/></p:a>",
	"no default namespace":          "<a xmlns=''><b/></a>",
	"default taken back and forth":  "<a xmlns='urn:a'><b xmlns=''><c xmlns='urn:a'/><d/></b><e/></a>",
	"prefix, child has default":     "<p:a xmlns:p='urn:p' xmlns='urn:d'><b/><p:c xmlns=''><d/></p:c></p:a>",
	"child of a prefixed one":       "<p:a xmlns:p='urn:p'><body>in jabber:client</body></p:a>",
	"declared and unused":           "<a xmlns='urn:a' xmlns:unused='urn:unused'/>",
	"declared by the stanza":        "@<message TO xmlns:p='urn:p' p:x='1'><p:a p:y='2'/></message>",
	"declared twice, same":          "@<message TO xmlns:p='urn:p'><p:a xmlns:p='urn:p' p:y='2'/></message>",
	"default said again":            "@<message TO xmlns='jabber:client'><body>x</body></message>",
	"prefix of streams":             "<stream:x stream:y='1'/>",
	"prefix of streams anew":        "<stream:x xmlns:stream='urn:other' stream:y='1'/>",
	"jabber:server inside":          "<message xmlns='jabber:server' to='x'><body>b</body></message>",
	"stanza inside":                 "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='x@y' to='z'><body>b</body></message></forwarded>",
	"namespace with an ampersand":   "<a xmlns='http://x/?a=1&amp;b=2#f' xmlns:p='urn:&#x61;&#38;' p:b='1'/>",
	"namespace with an apostrophe":  `<a xmlns="urn:a'b"/>`,
	"namespace, international":      "<a xmlns='http://bücher.example/ä'/>",
	"namespaces differ in case":     "<a xmlns='urn:A'><a xmlns='urn:a'/></a>",
	"xml prefix said":               "<a xmlns='urn:a' xmlns:xml='http://www.w3.org/XML/1998/namespace' xml:lang='de' xml:space='preserve'/>",
	"xml:lang of the stanza":        "@<message TO xml:lang='pt-BR'><body>a</body><body xml:lang='de'>b</body><body xml:lang=''>c</body></message>",
	"xml:id":                        "<a xmlns='urn:a' xml:id='x' xml:base='y'/>",
	"attributes called xmlns…":      "<a xmlns='urn:a' xmlnsx='1' Xmlns='2' xmlns.='3'/>",
	"CDATA":                         "<body><![CDATA[<evil/>&amp;]]></body>",
	"CDATA, empty":                  "<body>a<![CDATA[]]>b</body>",
	"CDATA with brackets":           "<body><![CDATA[]]]]><![CDATA[>]]]></body>",
	"CDATA among text":              "<body>a&amp;<![CDATA[b&amp;]]>c<![CDATA[<]]><![CDATA[>]]></body>",
	"CDATA with line ends":          "<body><![CDATA[a\r\nb\rc\nd&#13;]]></body>",
	"CDATA with tags and comments":  "<body><![CDATA[<!-- c --><?pi?></body></message><!DOCTYPE x>]]></body>",
	"]]> escaped":                   "<body>a]]&gt;b]]&#62;c]] >d]>e]</body>",
	"] at the end":                  "<body>a]]</body><a xmlns='urn:a'>]</a>",
	"> in text":                     "<body>a>b -> c</body>",
	"quotes in text":                `<body>"a" 'b' &quot;c&quot; &apos;d&apos;</body>`,
	"five entities":                 `<a xmlns='urn:a' b='&lt;&gt;&amp;&apos;&quot;'>&lt;&gt;&amp;&apos;&quot;</a>`,
	"escaped twice":                 `<a xmlns='urn:a' b='&amp;lt;&amp;amp;'>&amp;lt;&amp;#60;&#38;lt;&#38;amp;</a>`,
	"other quote in an attribute":   `<a xmlns='urn:a' b='"' c="'" d='>' e='/>'/>`,
	"white space by reference":      "<a xmlns='urn:a' b='&#10;&#9;&#13;&#32; &#xA;&#xD;&#x9;'>&#10;&#9;&#13;&#13;&#10;</a>",
	"white space in attributes":     "<a xmlns='urn:a' b='a\tb\nc\rd\r\ne  f '/>",
	"line ends in text":             "<body>a\nb\r\nc\rd\r\r\ne</body>",
	"white space only":              "<body> \t\n </body><a xmlns='urn:a'>\r\n</a>",
	"white space around":            "<body>  a  </body>  <a xmlns='urn:a'/>  ",
	"white space in tags":           "<a\txmlns = 'urn:a'\nb\r\n=\t'1'\n/><b xmlns='urn:b'\n></b \n>",
	"references, odd but right":     "<body>&#00065;&#x00041;&#x4a;&#x4A;&#x10FFFF;&#55295;</body>",
	"mixed content":                 "<a xmlns='urn:a'>1<b/>2<c>3</c>4<b/><b/>5</a>",
	"same children":                 "<a xmlns='urn:a'/><a xmlns='urn:a'/><a xmlns='urn:b'/><body>1</body><body>2</body>",
	"astral":                        "<body>😀 &#x1F600; 𝔘𝔫𝔦𝔠𝔬𝔡𝔢</body><a xmlns='urn:a' b='😀&#x1F600;'/>",
	"joined and combined":           "<body>👩‍👩‍👧 e\u0301 é \u0344 \u1100\u1161 가 \u202e\u200f\u2066\u2069</body>",
	"marks and separators":          "<body>\ufeffa\ufeff\u2028\u2029\u0085\u00a0\u00ad\u200b</body>",
	"C1 control characters, delete": "<body>\u007f\u0080\u0081\u009f</body>",
	"private, last of their planes": "<body>\ue000\uf8ff\ufffd\U0001fffe\U0001ffff\U000f0000\U0010ffff</body>",
	"names, international":          "<é xmlns='urn:a' ñ='1'><名前 字='2'/><ім.я-1 _='3'/><a·b/></é>",
	"names with dots and digits":    "<_a.b-c1 xmlns='urn:a' x-1.2='1'/>",
	"names that begin with xml":     "<xmla xmlns='urn:a' xmlb='1'/>",
	"long name":                     "<" + strings.Repeat("n", 256) + " xmlns='urn:a' " + strings.Repeat("m", 256) + "='1'/>",
	"many attributes":               "<a xmlns='urn:a'" + numbered(" a%d='%[1]d'", 64) + "/>",
	"many declarations":             "<a" + numbered(" xmlns:p%d='urn:%[1]d'", 15) + numbered(" p%d:x='%[1]d'", 15) + "/>",
	"deep":                          strings.Repeat("<a xmlns='urn:a'>", 63) + strings.Repeat("</a>", 63),
	"many elements":                 "<a xmlns='urn:a'>" + strings.Repeat("<b/>x", 5000) + "</a>",
	"long text":                     "<body>" + strings.Repeat("häßlich &amp; ", 5000) + "</body>",
	"long attribute":                "<a xmlns='urn:a' b='" + strings.Repeat("x&lt;", 13000) + "'/>",
	"unknown attributes":            "@<message TO foo='1' Type='2' From='x@y' xmlns:p='urn:p' p:from='z' p:to='z' p:id='3'><body>x</body></message>",
	"id with entities":              `@<message TO type="chat" data-x='&lt;&apos;&quot;&#10;'/>`,
	"single and double quotes":      `@<message TO type="headline" x='"' y="'"><subject>s</subject></message>`,
	"presence":                      "@<presence TO><show>dnd</show><status>a&#10;b</status><c xmlns='http://jabber.org/protocol/caps' node='x' ver='y='/></presence>",
	"iq":                            "@<iq TO type='result'><p:query xmlns:p='urn:p' p:a='&#9;'>x<![CDATA[&]]></p:query></iq>",
	"iq error":                      "@<iq TO type='error'><q xmlns='urn:q'/><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x@y</gone></error></iq>",
	"error's text":                  "@<message TO type='error'><error type='modify' by='x'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>&lt;no&gt;</text></error></message>",
}

func numbered(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// decl is what a stream header declares beyond what it must.
const decl = " xmlns:p='urn:p' xmlns:q='urn:&amp;q' xmlns:r=\"urn:'r\" xml:lang='de'"

type parser = func(doc []byte) (tree string, err error)

func TestAttackXMLFidelity(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}})
	for name, open := range map[string]func(t *testing.T) parser{
		"encoding/xml": func(*testing.T) parser { return xtest.GoTree },
		"expat":        func(t *testing.T) parser { return xtest.NewExpat(t).Tree },
	} {
		g.Run(t, "X27 what arrives is what was sent, by "+name, func(t *testing.T) {
			parse := open(t)
			c := g.Attacker(t, "ok")
			for name, payload := range faithful {
				t.Run(name, func(t *testing.T) { faith(t, g, c, parse, payload, "", "") })
			}
		})
		g.Run(t, "X27 prefixes and language of the stream header, by "+name, func(t *testing.T) {
			parse := open(t)
			c := withHeader(t, g, decl)
			for name, payload := range map[string]string{
				"element":               "<p:a/>",
				"attribute":             "<a xmlns='urn:a' p:b='1' q:b='2' r:b='3'/>",
				"attribute of stanza":   "@<message TO p:b='1'/>",
				"hidden":                "<p:a xmlns:p='urn:other' q:x='1'/><p:b/>",
				"only deep":             "<a xmlns='urn:a'><b><c q:d='1'/></b></a>",
				"not used":              "<body>p:a q:b r:c</body>",
				"language kept":         "@<message TO xml:lang='fr'><body>x</body></message>",
				"language of the child": "<body xml:lang='en'>x</body><body>y</body>",
			} {
				t.Run(name, func(t *testing.T) { faith(t, g, c, parse, payload, decl, "de") })
			}
		})
		g.Run(t, "X27 what was kept while away, by "+name, func(t *testing.T) { later(t, g, open(t), decl, "de", false) })
		g.Run(t, "X27 what was kept to be resumed, by "+name, func(t *testing.T) { later(t, g, open(t), decl, "de", true) })
	}
}

// faith sends a stanza to the victim and compares the trees.
func faith(t *testing.T, g *xtest.Target, c *xtest.Client, parse parser, payload, decl, lang string) {
	defer g.As(t)()
	c.T = t
	const to = "to='bob@a.test/desk' id='f'"
	sent := "<message " + to + ">" + payload + "</message>"
	if whole, ok := strings.CutPrefix(payload, "@"); ok {
		sent = strings.Replace(whole, "TO", to, 1)
	}
	g.Victim.Barrier()
	received := g.Victim.Record()
	c.Send("%s", sent)
	if n := g.Victim.Must(); n.Attr("id") != "f" || n.Attr("from") != c.JID {
		t.Fatalf("the victim got %s", n)
	}
	got := received()
	if got = bytes.TrimSpace(got); len(got) == 0 {
		t.Fatal("nothing was recorded")
	}
	was, err := parse([]byte(fmt.Sprintf(wrap, decl) + sent + "</stream:stream>"))
	if err != nil {
		t.Fatalf("the parser cannot read what was sent, so it is no test: %v\n%s", err, sent)
	}
	is, err := parse([]byte(fmt.Sprintf(wrap, "") + string(got) + "</stream:stream>"))
	if err != nil {
		t.Fatalf("the parser cannot read what arrived: %v\n%s", err, got)
	}
	want, have := stanzasOf(t, was)[0], stanzasOf(t, is)[0]
	stamp(want, "from", c.JID)
	if lang != "" && !hasAttr(want, xmlLang) {
		stamp(want, xmlLang, lang) // RFC 6120 §8.1.5
	}
	if !reflect.DeepEqual(attrsOf(want), attrsOf(have)) {
		t.Errorf("attributes are %v, were %v", attrsOf(have), attrsOf(want))
	}
	theirs(have)
	if want[0] != have[0] || !reflect.DeepEqual(want[2], have[2]) {
		t.Errorf("arrived as\n%.600s\nsent was\n%.600s", got, sent)
	}
}

// theirs leaves out what the server puts at a message's end: the ID of the archive, and when it was kept.
func theirs(n []any) {
	kids := n[2].([]any)
	for len(kids) > 0 {
		last, ok := kids[len(kids)-1].([]any)
		if !ok || last[0] != "urn:xmpp:delay delay" && last[0] != "urn:xmpp:sid:0 stanza-id" {
			break
		}
		kids = kids[:len(kids)-1]
	}
	n[2] = kids
}

// away numbers the accounts of later.
var away int

// later sends all messages to one who is away, and compares what is there on the return.
func later(t *testing.T, g *xtest.Target, parse parser, decl, lang string, resume bool) {
	away++
	name := fmt.Sprintf("away-%d", away)
	user := name + "@a.test"
	g.AddUsers(user)
	back := func() *xtest.Client {
		c := g.Secure(t, "a.test")
		c.Auth(sasl.Plain, name, xtest.Password)
		return c
	}
	token := ""
	if resume {
		c := back()
		c.Bind("away")
		c.Send("<presence/>")
		c.Barrier()
		c.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		token = c.Want("<enabled xmlns='urn:xmpp:sm:3' id='*'/>").Attr("id")
		c.Conn.Close()
	}

	c := withHeader(t, g, decl)
	want := map[string][]any{}
	for name, payload := range faithful {
		id := fmt.Sprintf("f-%d", len(want))
		sent := "<message TO>" + payload + "</message>"
		if whole, ok := strings.CutPrefix(payload, "@"); ok {
			sent = whole
		}
		if !strings.HasSuffix(sent, "</message>") || strings.Contains(sent, "type='error'") || strings.Contains(sent, `type="headline"`) {
			continue // nobody keeps these for later
		}
		sent = strings.Replace(sent, "TO", "to='"+user+"' id='"+id+"'", 1)
		sent = strings.TrimSuffix(sent, "</message>") + "<body>" + id + "</body></message>"
		c.Send("%s", sent)
		was, err := parse([]byte(fmt.Sprintf(wrap, decl) + sent + "</stream:stream>"))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		n := stanzasOf(t, was)[0]
		stamp(n, "from", c.JID)
		if !hasAttr(n, xmlLang) {
			stamp(n, xmlLang, lang)
		}
		want[id] = n
	}
	if got := c.Barrier(); len(got) > 0 {
		t.Fatalf("the sender was answered %s", got)
	}

	r := back()
	if !resume {
		r.Bind("back")
	}
	received := r.Record()
	if resume {
		r.Send("<resume xmlns='urn:xmpp:sm:3' previd='%s' h='0'/>", token)
	} else {
		r.Send("<presence/>")
	}
	for n := 0; n < len(want); {
		if r.Must().Name.Local == "message" {
			n++
		}
	}
	is, err := parse([]byte(fmt.Sprintf(wrap, "") + string(received()) + "</stream:stream>"))
	if err != nil {
		t.Fatalf("the parser cannot read what was kept: %v", err)
	}
	for _, have := range stanzasOf(t, is) {
		id := attrsOf(have)["id"]
		w := want[id]
		if w == nil {
			continue
		}
		delete(want, id)
		theirs(have)
		if !reflect.DeepEqual(attrsOf(w), attrsOf(have)) || w[0] != have[0] || !reflect.DeepEqual(w[2], have[2]) {
			t.Errorf("arrived\n%.600v\nsent was\n%.600v", have, w)
		}
	}
	if len(want) > 0 {
		t.Errorf("%d messages did not arrive: %v", len(want), want)
	}
}

// withHeader logs mallory in with more in the stream header.
func withHeader(t *testing.T, g *xtest.Target, decl string) *xtest.Client {
	t.Helper()
	c := g.Attacker(t, "tls")
	if n := c.TryAuth(sasl.Plain, "mallory", xtest.Password); n.Name.Local != "success" {
		t.Fatal(n)
	}
	c.Restart()
	c.OpenWith(decl)
	c.Bind("")
	return c
}

const xmlLang = "http://www.w3.org/XML/1998/namespace lang"

// stanzasOf takes the elements of a stream's tree apart: name, attributes, children of each.
func stanzasOf(t *testing.T, text string) (list [][]any) {
	var v []any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	for _, n := range v[2].([]any) {
		if n, ok := n.([]any); ok {
			list = append(list, n)
		}
	}
	return list
}

func attrsOf(n []any) map[string]string {
	m := map[string]string{}
	for _, a := range n[1].([]any) {
		m[a.([]any)[0].(string)] = a.([]any)[1].(string)
	}
	return m
}

func hasAttr(n []any, name string) bool { _, ok := attrsOf(n)[name]; return ok }

func stamp(n []any, name, value string) { n[1] = append(n[1].([]any), []any{name, value}) }

// dribble writes a byte at a time.
type dribble struct{ net.Conn }

func (d dribble) Write(p []byte) (int, error) {
	for i := range p {
		if n, err := d.Conn.Write(p[i : i+1]); err != nil {
			return i + n, err
		}
	}
	return len(p), nil
}

// TestAttackXMLSegments is X29: a login and a talk, whole, in pieces of a byte, and in one piece.
func TestAttackXMLSegments(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"a.test"}})
	fill := strings.Repeat("é&amp;<![CDATA[<]]>", 3250) // some 64 KiB with what is around it
	talk := []string{
		"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>talk</resource></bind></iq>",
		"<presence/>",
		"<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>",
		"<message to='bob@a.test' type='chat' id='1'><body>één 😀 &#x1F600; ]] &gt;</body></message>",
		" \n<message to='bob@a.test' id='2'><a xmlns='urn:a' b='é&#10;'><![CDATA[<&]]></a></message>\n",
		"<iq type='get' id='3'/>",
		"<message to='bob@a.test' id='4'><body>" + fill + "</body></message>",
		"<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>",
	}
	auth := "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + xtest.B64("\x00alice\x00"+xtest.Password) + "</auth>"

	// run logs in and talks, and returns what both sides read.
	run := func(t *testing.T, send func(c *xtest.Client, script []string)) (mine, theirs string) {
		defer g.As(t)()
		c := g.Secure(t, "a.test")
		send(c, append([]string{auth, streamHeader}, talk...))
		c.Want("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")
		c.Restart()
		c.ReadOpen()
		var b strings.Builder
		for {
			n := c.Must()
			fmt.Fprintln(&b, n)
			if n.Attr("id") == "ping" {
				break
			}
		}
		c.Quit()
		for _, n := range g.Victim.Barrier() {
			if id := n.Find("stanza-id"); id != nil {
				id.Attrs = nil // it is another each time
			}
			theirs += fmt.Sprintln(n)
		}
		return b.String(), theirs
	}
	step := func(c *xtest.Client, script []string) { // the login's answer is waited for, as clients do
		c.Send("%s", script[0])
		c.Unread([]*xtest.Node{c.Want("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>")})
		for _, s := range script[1:] {
			c.Send("%s", s)
		}
	}
	var mine, theirs string
	g.Run(t, "X29 stanza by stanza", func(t *testing.T) {
		mine, theirs = run(t, step)
		if n := strings.Count(theirs, "<message"); n != 3 {
			t.Fatalf("%d messages of 3 arrived", n)
		}
	})
	same := func(name string, send func(c *xtest.Client, script []string)) {
		g.Run(t, name, func(t *testing.T) {
			m, th := run(t, send)
			if m != mine {
				t.Errorf("the client read\n%.2000s\nin pieces of stanzas it was\n%.2000s", m, mine)
			}
			if th != theirs {
				t.Errorf("the other read\n%.2000s\nin pieces of stanzas it was\n%.2000s", th, theirs)
			}
		})
	}
	same("X29 a byte a segment", func(c *xtest.Client, script []string) {
		c.Wrap(func(nc net.Conn) net.Conn { return dribble{nc} })
		for _, s := range script {
			c.Send("%s", s)
		}
	})
	same("X29 one burst", func(c *xtest.Client, script []string) { c.Send("%s", strings.Join(script, "")) })
	same("X29 pieces of a prime", func(c *xtest.Client, script []string) {
		all := strings.Join(script, "")
		for len(all) > 0 {
			n := min(997, len(all))
			c.Send("%s", all[:n])
			all = all[n:]
		}
	})
	g.Run(t, "X29 a byte a segment before TLS", func(t *testing.T) {
		c := g.Dial(t)
		c.Wrap(func(nc net.Conn) net.Conn { return dribble{nc} }) // the handshake's records too
		c.Open()
		c.StartTLS()
	})
}
