package c2s

import (
	"crypto/tls"
	"encoding/base64"
	"strings"
	"testing"
)

const agentID = "d4565fa7-4d72-4749-b3d3-740edbf87770"

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// secure connects by direct TLS.
func (r *rig) secure() *peer {
	r.t.Helper()
	if r.direct == "" {
		r.listen()
	}
	c, err := tls.Dial("tcp", r.direct, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"xmpp-client"}})
	if err != nil {
		r.t.Fatal(err)
	}
	return r.peer(c)
}

// authenticate is a login with PLAIN and further elements.
func authenticate(user, more string) string {
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>" + b64("\x00"+user+"\x00"+password) +
		"</initial-response>" + more + "</authenticate>"
}

const (
	s2Fail = "<failure xmlns='urn:xmpp:sasl:2'><* xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>*</failure>"
	agent  = "<user-agent id='" + agentID + "'><software>App</software><device>Phone</device></user-agent>"
)

func s2FailWith(cond string) string {
	return "S: " + strings.Replace(s2Fail, "<* ", "<"+cond+" ", 1) + "\n"
}

func TestSASL2Features(t *testing.T) {
	r := newRig(t, "[limits]\nprofile='off'\n")
	p := r.secure()
	f := p.header("to='a.test'")
	p.like(f, "<stream:features><authentication xmlns='urn:xmpp:sasl:2'><mechanism>SCRAM-SHA-256-PLUS</mechanism>*"+
		"<mechanism>PLAIN</mechanism><inline><sm xmlns='urn:xmpp:sm:3'/>"+
		"<bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/><feature var='urn:xmpp:csi:0'/></inline></bind></inline>"+
		"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade></authentication><sasl-channel-binding *")
	// The same for whoever asks.
	q := r.secure()
	if g := q.header("to='a.test' from='nobody@a.test'"); g != f {
		t.Errorf("another gets\n%s\nnot\n%s", g, f)
	}
	// Not before TLS (XEP-0388 §4).
	q = newRig(t, noTLS).dial()
	if f := q.header("to='a.test'"); strings.Contains(f, "sasl:2") {
		t.Errorf("without TLS: %s", f)
	}
	q.send("%s", authenticate("alice", ""))
	q.like(q.next(), s2Fail)
}

func TestSASL2(t *testing.T) {
	r := newRig(t, "[limits]\nprofile='off'\n")
	ok := "C: " + authenticate("alice", "") + "\nS: <success xmlns='urn:xmpp:sasl:2'>" +
		"<authorization-identifier>alice@a.test</authorization-identifier></success>\nS: <stream:features><bind *</stream:features>\n"
	begin := func(mech, inner string) string {
		return "C: <authenticate xmlns='urn:xmpp:sasl:2' mechanism='" + mech + "'>" + inner + "</authenticate>\n"
	}
	initial := func(s string) string { return "<initial-response>" + s + "</initial-response>" }
	scram := begin("SCRAM-SHA-1", initial(b64("n,,n=alice,r=0123456789abcdef"))) + "S: <challenge xmlns='urn:xmpp:sasl:2'>*</challenge>\n"
	for _, c := range []struct{ name, script string }{
		{"success", ok},
		{"legacy bind after it", ok + "C: <iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>\n" +
			"S: <iq type='result' id='1'>*alice@a.test/x*</iq>\n"},
		{"no initial response", begin("PLAIN", "") + "S: <challenge xmlns='urn:xmpp:sasl:2'></challenge>\n" +
			"C: <response xmlns='urn:xmpp:sasl:2'>" + b64("\x00alice\x00"+password) + "</response>\nS: <success *\nS: <stream:features>*\n"},
		{"wrong password, then right", begin("PLAIN", initial(b64("\x00alice\x00wrong"))) + s2FailWith("not-authorized") + ok},
		{"A28 response first", "C: <response xmlns='urn:xmpp:sasl:2'/>\n" + s2FailWith("malformed-request") + ok},
		{"abort of nothing", "C: <abort xmlns='urn:xmpp:sasl:2'/>\n" + s2FailWith("aborted") + ok},
		{"abort", scram + "C: <abort xmlns='urn:xmpp:sasl:2'><text>no</text></abort>\n" + s2FailWith("aborted") + ok},
		{"unknown mechanism", begin("FOO", "") + s2FailWith("invalid-mechanism") + ok},
		{"no mechanism", "C: <authenticate xmlns='urn:xmpp:sasl:2'/>\n" + s2FailWith("invalid-mechanism") + ok},
		{"equals sign is no data", begin("PLAIN", initial("=")) + s2FailWith("incorrect-encoding") + ok},
		{"empty message", begin("PLAIN", "<initial-response/>") + s2FailWith("malformed-request") + ok},
		{"line break", begin("PLAIN", initial("AGE&#10;AYg==")) + s2FailWith("incorrect-encoding") + ok},
		{"elements as data", begin("PLAIN", initial("<a/>")) + s2FailWith("malformed-request") + ok},
		{"long user agent", begin("PLAIN", "<user-agent id='"+strings.Repeat("x", 129)+"'/>") + s2FailWith("malformed-request") + ok},
		{"A28 unknown inline elements", "C: " + authenticate("alice", "<x xmlns='urn:unknown'/><bind xmlns='urn:xmpp:bind2:1'/>") +
			"\nS: <success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@a.test</authorization-identifier></success>\n"},
		{"wrong proof", scram + "C: <response xmlns='urn:xmpp:sasl:2'>" + b64("c=biws,r=x,p=AA==") + "</response>\n" + s2FailWith("not-authorized*") + ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.secure()
			p.t = t
			p.talk("header\n" + c.script)
		})
	}
	for _, c := range []struct{ name, script, condition string }{
		{"A28 two authenticates", scram + begin("PLAIN", ""), "policy-violation"},
		{"stanza during a login", scram + "C: <iq type='get' id='1'/>\n", "policy-violation"},
		{"unknown element during a login", scram + "C: <foo xmlns='urn:xmpp:sasl:2'/>\n", "policy-violation"},
		{"the other profile during a login", scram + "C: " + plain("alice") + "\n", "policy-violation"},
		{"task that nobody gave", scram + "C: <next xmlns='urn:xmpp:sasl:2' task='x'/>\n", "policy-violation"},
		{"unknown element", "C: <foo xmlns='urn:xmpp:sasl:2'/>\n", "unsupported-stanza-type"},
		{"authenticate after success", ok + begin("PLAIN", ""), "policy-violation"},
		{"old profile after success", ok + "C: " + plain("alice") + "\n", "policy-violation"},
		{"authenticate in a session", "C: " + authenticate("alice", "<bind xmlns='urn:xmpp:bind:0'/>") + "\nS: <success *\nS: <stream:features>*\n" +
			begin("PLAIN", ""), "policy-violation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.secure()
			p.t = t
			p.talk("header\n" + c.script)
			p.fails(c.condition)
		})
	}
}

// XEP-0388 §2.1, §2.3: who logs in is who the stream is from.
func TestSASL2From(t *testing.T) {
	r := newRig(t, "")
	p := r.secure()
	p.header("to='a.test' from='bob@a.test'")
	p.send("%s", authenticate("alice", ""))
	p.like(p.next(), strings.Replace(s2Fail, "<* ", "<invalid-authzid ", 1))
	p.send("%s", authenticate("bob", ""))
	p.want("<success *")
	p = r.secure()
	p.send("%sto='a.test' from='alice@b.test'>", header)
	p.want("<stream:stream *>")
	p.fails("invalid-from")
}

const (
	bindApp   = "<bind xmlns='urn:xmpp:bind:0'><tag>App</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind>"
	boundApp  = "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@a.test/App.*</authorization-identifier>"
	enabledSM = "<bound xmlns='urn:xmpp:bind:0'><enabled xmlns='urn:xmpp:sm:3' id='*' resume='true' max='*'/></bound>"
)

// between cuts out what stands between two strings.
func between(s, a, b string) string {
	_, s, _ = strings.Cut(s, a)
	s, _, _ = strings.Cut(s, b)
	return s
}

func TestBind2(t *testing.T) {
	r := newRig(t, "")
	p := r.secure()
	p.header("to='a.test' from='alice@a.test'")
	p.send("%s", authenticate("alice", agent+bindApp))
	s := p.want(boundApp + enabledSM + "</success>")
	jid := between(s, "identifier>", "<")
	if strings.Contains(s, agentID) || strings.Contains(s, clientHash(agentID)) {
		t.Errorf("%s tells the id", s)
	}
	p.want("<stream:features><csi xmlns='urn:xmpp:csi:0'/></stream:features>") // what is on is not offered
	p.send("<iq type='get' id='1' to='a.test'><x xmlns='urn:test'/></iq>")
	p.want("<iq type='result' id='1' from='a.test' to='" + jid + "'>*")
	r.watch.until(t, "opened "+jid)

	// The same client gets the same resource again, and its older session ends, whatever the tag was.
	for _, c := range []struct{ user, agent, bind, want string }{
		{"alice", agent, bindApp, jid},
		{"alice", agent, strings.Replace(bindApp, "App", "Other", 1), "alice@a.test/Other.*"},
		{"alice", agent, "<bind xmlns='urn:xmpp:bind:0'/>", "alice@a.test/client.*"},
		{"alice", agent, strings.Replace(bindApp, "App", strings.Repeat("x", 1100), 1), "alice@a.test/client.*"},
	} {
		q := r.secure()
		q.header("to='a.test'")
		q.send("%s", authenticate(c.user, c.agent+c.bind))
		got := between(q.want("<success *<bound *</success>"), "identifier>", "<")
		q.like(got, c.want)
		q.want("<stream:features>*")
		if s := p.next(); strings.HasPrefix(s, "<r ") || strings.HasPrefix(s, "<iq") {
			p.fails("conflict")
		} else if !strings.Contains(s, "<conflict ") && !strings.HasPrefix(s, "<a ") {
			t.Errorf("the older session got %s", s)
		}
		p = q
	}
	// Another user with the same client, and clients without an id.
	q := r.secure()
	q.header("to='a.test'")
	q.send("%s", authenticate("bob", agent+bindApp))
	if got := between(q.want("<success *<bound *"), "App.", "<"); got == jid[len("alice@a.test/App."):] {
		t.Error("two users' resources end alike")
	}
	seen := map[string]bool{}
	for range 3 {
		q := r.secure()
		q.header("to='a.test'")
		q.send("%s", authenticate("bob", bindApp))
		got := between(q.want("<success *<bound *"), "App.", "<")
		if seen[got] {
			t.Errorf("resource %s twice", got)
		}
		seen[got] = true
	}
}

// What cannot be bound leaves the client logged in, to bind otherwise.
func TestBind2Fails(t *testing.T) {
	r := newRig(t, "[limits]\nresources_per_account = 1\n")
	r.client2("alice", "")
	p := r.secure()
	p.header("to='a.test'")
	p.send("%s", authenticate("alice", bindApp))
	p.want("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@a.test</authorization-identifier>" +
		"<failed xmlns='urn:xmpp:bind:0'><error type='wait'><resource-constraint *</failed></success>")
	p.want("<stream:features><bind *")
	p.send("<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
	p.want("<iq type='error' id='1'>*<resource-constraint *")
}

// client2 logs in with SASL2 and binds a resource.
func (r *rig) client2(user, inline string) *peer {
	r.t.Helper()
	p := r.secure()
	p.header("to='a.test'")
	p.send("%s", authenticate(user, inline+"<bind xmlns='urn:xmpp:bind:0'/>"))
	p.want("<success *<bound *</success>")
	p.want("<stream:features>*")
	return p
}

// XEP-0352 within XEP-0386: an inactive client gets no presence until it asks for something.
func TestBind2Inactive(t *testing.T) {
	r := newRig(t, "")
	p := r.secure()
	p.header("to='a.test'")
	p.send("%s", authenticate("alice", "<bind xmlns='urn:xmpp:bind:0'><inactive xmlns='urn:xmpp:csi:0'/></bind>"))
	full := between(p.want("<success *<bound xmlns='urn:xmpp:bind:0'></bound></success>"), "identifier>", "<")
	p.want("<stream:features>*")
	p.quiet()
	if s := r.router.Session(jid(full)); !s.Info().Inactive {
		t.Error("the session is active")
	}
	bob := r.client2("bob", "")
	bob.send("<presence to='%s'/>", full)
	bob.quiet()
	p.send("<active xmlns='urn:xmpp:csi:0'/>")
	p.want("<presence to='" + full + "' from='bob@a.test/*'/>")
}

func TestResumeInline(t *testing.T) {
	r := newRig(t, "")
	p := r.secure()
	p.header("to='a.test'")
	p.send("%s", authenticate("alice", agent+bindApp))
	s := p.want(boundApp + enabledSM + "</success>")
	full, id := between(s, "identifier>", "<"), between(s, "<enabled xmlns='urn:xmpp:sm:3' id='", "'")
	p.want("<stream:features>*")
	p.quiet()
	p.want("<r xmlns='urn:xmpp:sm:3'/>")
	p.c.Close()
	for !r.router.Session(jid(full)).Hibernated() {
	}
	bob := r.client2("bob", "")
	bob.send("<message to='%s' id='m'><body>hi</body></message>", full)
	bob.quiet()

	resume := func(previd, h string) string {
		return "<resume xmlns='urn:xmpp:sm:3' h='" + h + "' previd='" + previd + "'/>"
	}
	// Another user's session cannot be resumed, and without one a resource is bound.
	q := r.secure()
	q.header("to='a.test'")
	q.send("%s", authenticate("bob", resume(id, "1")))
	q.want("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>bob@a.test</authorization-identifier>" +
		"<failed xmlns='urn:xmpp:sm:3'><item-not-found *</failed></success>")
	q.want("<stream:features><bind *")
	q = r.secure()
	q.header("to='a.test'")
	q.send("%s", authenticate("bob", resume(id, "x")+"<bind xmlns='urn:xmpp:bind:0'/>"))
	q.want("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>bob@a.test/client.*</authorization-identifier>" +
		"<failed xmlns='urn:xmpp:sm:3'><bad-request *</failed><bound xmlns='urn:xmpp:bind:0'></bound></success>")
	q.want("<stream:features><sm *")

	// Resumed: no bind, no features, what was missed follows.
	p = r.secure()
	p.header("to='a.test'")
	p.send("%s", authenticate("alice", agent+resume(id, "1")+bindApp))
	p.want("<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>" + full + "</authorization-identifier>" +
		"<resumed xmlns='urn:xmpp:sm:3' h='1' previd='" + id + "'/></success>")
	p.want("<message *<body>hi</body></message>")
	p.want("<r xmlns='urn:xmpp:sm:3'/>")
	r.watch.until(t, "resumed "+full)

	// Too much acknowledged (XEP-0198 §6).
	q = r.secure()
	q.header("to='a.test'")
	q.send("%s", authenticate("alice", agent+resume(id, "99")))
	q.fails("undefined-condition")
}

// A client sends all in one flight: stream header, login, resumption, and stanzas, at once or a byte at a time.
func TestSASL2Pipelined(t *testing.T) {
	r := newRig(t, "")
	all := header + "to='a.test' from='alice@a.test'>" + authenticate("alice", agent+bindApp) +
		"<iq type='get' id='1' to='a.test'><x xmlns='urn:test'/></iq></stream:stream>"
	for name, size := range map[string]int{"at once": len(all), "bytes": 1} {
		t.Run(name, func(t *testing.T) {
			p := r.secure()
			p.t = t
			for s := all; s != ""; s = s[min(size, len(s)):] {
				p.send("%s", s[:min(size, len(s))])
			}
			p.want("<stream:stream *>")
			p.want("<stream:features><authentication *")
			p.want(boundApp + enabledSM + "</success>")
			p.want("<stream:features><csi *")
			p.want("<iq type='result' id='1' *<pong *")
			p.want("<r *")
			p.want("<a xmlns='urn:xmpp:sm:3' h='1'/>")
			p.closed()
		})
	}
}
