package c2s

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mellium.im/sasl"
)

func TestFirstConversation(t *testing.T) {
	r := newRig(t, noTLS)
	alice := r.client("alice", "phone")
	bob := r.client("bob", "desk")
	alice.send("<message to='bob@a.test/desk' type='chat' id='m1'><body>hi</body></message>")
	bob.want("<message to='bob@a.test/desk' type='chat' id='m1' from='alice@a.test/phone'><body>hi</body></message>")
	bob.quiet()
	alice.send("</stream:stream>")
	alice.closed()
	r.watch.until(t, "closed alice@a.test/phone")
}

// Everything in one segment, and a byte at a time: the same conversation (X29).
func TestPipelined(t *testing.T) {
	r := newRig(t, noTLS)
	all := header + "to='a.test'>" + plain("alice") + header + "to='a.test'>" +
		"<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>" +
		"<iq type='get' id='1' to='a.test'><x xmlns='urn:test'/></iq></stream:stream>"
	for name, size := range map[string]int{"at once": len(all), "bytes": 1} {
		t.Run(name, func(t *testing.T) {
			p := r.dial()
			p.t = t
			for s := all; s != ""; s = s[min(size, len(s)):] {
				p.send("%s", s[:min(size, len(s))])
			}
			p.want("<stream:stream *>")
			p.want("<stream:features>*<mechanism>PLAIN</mechanism>*")
			p.want("<success *")
			// One decoder reads both streams: the second header stands inside the first.
			p.want("<stream:stream *>")
			p.want("<stream:features>*<bind *")
			p.want("<iq type='result' id='b1'>*alice@a.test/x*")
			p.want("<iq type='result' id='1' *<pong *")
			p.closed()
		})
	}
}

const nsSASL = "urn:ietf:params:xml:ns:xmpp-sasl"

// TestSASL has conversations of RFC 6120 §6.
func TestSASL(t *testing.T) {
	r := newRig(t, noTLS+"[limits]\nprofile='off'\n")
	fail := func(cond string) string { return "S: <failure xmlns='" + nsSASL + "'><" + cond + "/>*</failure>\n" }
	auth := func(mech, data string) string {
		return "C: <auth xmlns='" + nsSASL + "' mechanism='" + mech + "'>" + data + "</auth>\n"
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	challenge := "S: <challenge xmlns='" + nsSASL + "'>*</challenge>\n"
	respond := func(data string) string { return "C: <response xmlns='" + nsSASL + "'>" + data + "</response>\n" }
	scram := b64("n,,n=alice,r=0123456789abcdef")
	ok := "C: " + plain("alice") + "\nS: <success xmlns='" + nsSASL + "'></success>\n"
	for _, c := range []struct{ name, script string }{
		{"A01 PLAIN", ok},
		{"PLAIN without initial response", auth("PLAIN", "") + "S: <challenge xmlns='" + nsSASL + "'></challenge>\n" +
			respond(b64("\x00alice\x00"+password)) + "S: <success *\n"},
		{"A02 authzid", auth("PLAIN", b64("bob@a.test\x00alice\x00"+password)) + fail("invalid-authzid") + ok},
		{"A04 authzid of another host", auth("PLAIN", b64("alice@b.test\x00alice\x00"+password)) + fail("invalid-authzid")},
		{"own authzid", auth("PLAIN", b64("alice@a.test\x00alice\x00"+password)) + "S: <success *\n"},
		{"A05 case", auth("PLAIN", b64("\x00ALICE\x00"+password)) + "S: <success *\n"},
		{"A06 no base64", auth("PLAIN", "!!!!") + fail("incorrect-encoding") + ok},
		{"A06 truncated", auth("PLAIN", "AGFsaWNl") + fail("malformed-request") + auth("PLAIN", "AGFsaWN") + fail("incorrect-encoding")},
		{"A07 space", auth("PLAIN", "AGFs aWNl") + fail("incorrect-encoding")},
		{"A07 CR", auth("PLAIN", "AGFs&#13;aWNl") + fail("incorrect-encoding")},
		{"A07 LF", auth("PLAIN", "AGFs&#10;aWNl") + fail("incorrect-encoding")},
		{"stray bits", auth("PLAIN", "AA=A") + fail("incorrect-encoding") + auth("PLAIN", "AB==") + fail("incorrect-encoding")},
		{"A08 empty", auth("PLAIN", "=") + fail("malformed-request") + ok},
		{"A08 elements", auth("PLAIN", "<a/>") + fail("malformed-request") + ok},
		{"A09 unknown", auth("FOO", "=") + fail("invalid-mechanism") + auth("ANONYMOUS", "=") + fail("invalid-mechanism") +
			auth("EXTERNAL", "=") + fail("encryption-required*invalid-mechanism")},
		{"no mechanism", "C: <auth xmlns='" + nsSASL + "'/>\n" + fail("invalid-mechanism")},
		{"wrong password", auth("PLAIN", b64("\x00alice\x00wrong")) + fail("not-authorized") + ok},
		{"unknown user", auth("PLAIN", b64("\x00nobody\x00wrong")) + fail("not-authorized")},
		{"A21 abort", auth("SCRAM-SHA-1", scram) + challenge + "C: <abort xmlns='" + nsSASL + "'/>\n" + fail("aborted") + ok},
		{"abort of nothing", "C: <abort xmlns='" + nsSASL + "'/>\n" + fail("aborted") + ok},
		{"A21 response to nothing", respond("=") + fail("malformed-request") + ok},
		{"A21 second auth", auth("SCRAM-SHA-1", scram) + challenge + auth("PLAIN", b64("\x00bob\x00"+password)) + fail("malformed-request") +
			respond(b64("c=biws,r=x,p=AA==")) + fail("malformed-request") + ok},
		{"wrong proof", auth("SCRAM-SHA-1", scram) + challenge + respond(b64("c=biws,r=x,p=AA==")) + fail("*") + ok},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := r.dial()
			p.t = t
			script := strings.ReplaceAll(c.script, fail("encryption-required*invalid-mechanism"), fail("*"))
			p.talk("header\n" + script)
			p.c.Close()
		})
	}
	t.Run("unknown element", func(t *testing.T) {
		p := r.dial()
		p.t = t
		p.header("to='a.test'")
		p.send("<foo xmlns='%s'/>", nsSASL)
		p.fails("unsupported-stanza-type")
	})
}

func TestAuthAfterLogin(t *testing.T) { // A22
	r := newRig(t, noTLS)
	p := r.dial()
	p.login("alice")
	p.send("%s", plain("bob"))
	p.fails("policy-violation")
	p = r.client("alice", "x")
	p.send("%s", plain("bob"))
	p.fails("policy-violation")
}

func TestTooManyTries(t *testing.T) { // A10
	r := newRig(t, noTLS)
	p := r.dial()
	p.header("to='a.test'")
	for range 4 {
		p.send("<auth xmlns='%s' mechanism='FOO'/>", nsSASL)
		p.want("<failure *<invalid-mechanism/>*")
	}
	p.fails("policy-violation")
}

// A11: an address that guesses has to wait, on its own goroutine, and is refused in the end.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, noTLS+"[limits]\nauth_failures_per_minute=4\nauth_tries=50\nlogin_timeout='10m'\n")
		wrong := "<auth xmlns='" + nsSASL + "' mechanism='PLAIN'>" + base64.StdEncoding.EncodeToString([]byte("\x00bob\x00wrong")) + "</auth>"
		p := r.pipe()
		p.patience = time.Minute
		p.header("to='a.test'")
		begin := time.Now()
		for range 4 {
			p.send("%s", wrong)
			p.want("<failure *<not-authorized/>*")
		}
		if time.Since(begin) < time.Second {
			t.Errorf("four failures took %v", time.Since(begin))
		}
		p.send("%s", plain("bob"))
		p.want("<failure *<temporary-auth-failure/>*")
		time.Sleep(2 * time.Minute)
		p.send("%s", plain("bob"))
		p.want("<success *")
	})
}

// TestUntried: a client that knows no channel binding of TLS 1.3 goes through the mechanisms and is let in, on the same stream and
// without a wait for who guesses; but not for ever.
func TestUntried(t *testing.T) {
	r := newRig(t, "")
	try := func(p *peer, mech, flag string) {
		p.send("<auth xmlns='%s' mechanism='%s'>%s</auth>", nsSASL, mech, base64.StdEncoding.EncodeToString([]byte(flag+",,n=alice,r=0123456789abcdef")))
		p.want("<failure *<not-authorized/>*")
	}
	p := r.dial()
	p.secure("a.test")
	for _, hash := range []string{"256", "1"} {
		try(p, "SCRAM-SHA-"+hash+"-PLUS", "p=tls-unique")
	}
	for _, hash := range []string{"256", "1"} {
		try(p, "SCRAM-SHA-"+hash, "y")
	}
	p.send("%s", plain("alice"))
	p.want("<success *")

	p = r.dial()
	p.secure("a.test")
	for range maxUntried {
		try(p, "SCRAM-SHA-256", "y")
	}
	p.fails("policy-violation")
}

func TestDisabledAccount(t *testing.T) { // A25
	r := newRig(t, noTLS)
	if err := r.users("a.test").SetDisabled(context.Background(), "bob", true); err != nil {
		t.Fatal(err)
	}
	p := r.dial()
	p.header("to='a.test'")
	p.send("%s", plain("bob"))
	p.want("<failure *<account-disabled/>*")
	p.send("%s", strings.Replace(plain("bob"), plain("bob")[70:], base64.StdEncoding.EncodeToString([]byte("\x00bob\x00no"))+"</auth>", 1))
	p.next()
}

func TestLoginIsNoted(t *testing.T) {
	r := newRig(t, noTLS)
	r.client("alice", "x")
	a, err := r.users("a.test").Get(context.Background(), "alice")
	if err != nil || a.LastLogin.IsZero() {
		t.Errorf("%v %v", a.LastLogin, err)
	}
	log := r.log.String()
	if !strings.Contains(log, "msg=login ") || !strings.Contains(log, "account=alice@a.test mechanism=PLAIN") {
		t.Errorf("log: %s", log)
	}
	for _, secret := range []string{password, base64.StdEncoding.EncodeToString([]byte("\x00alice\x00" + password))} {
		if strings.Contains(log, secret) {
			t.Error("a secret is in the log")
		}
	}
}

// A client of another make logs in with SCRAM and its channel binding.
func TestSCRAMOverTLS(t *testing.T) {
	r := newRig(t, "")
	p := r.dial()
	f := p.secure("a.test")
	for _, want := range []string{
		"<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/><channel-binding type='tls-server-end-point'/></sasl-channel-binding>",
		"<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "<mechanism>PLAIN</mechanism>",
	} {
		if !strings.Contains(f, want) {
			t.Errorf("features lack %s: %s", want, f)
		}
	}
	n := sasl.NewClient(sasl.ScramSha256, sasl.Credentials(func() ([]byte, []byte, []byte) {
		return []byte("alice"), []byte(password), nil
	}))
	_, msg, err := n.Step(nil)
	if err != nil {
		t.Fatal(err)
	}
	p.send("<auth xmlns='%s' mechanism='SCRAM-SHA-256'>%s</auth>", nsSASL, base64.StdEncoding.EncodeToString(msg))
	for {
		got := p.next()
		if strings.HasPrefix(got, "<failure") {
			t.Fatal(got)
		}
		data, err := base64.StdEncoding.DecodeString(got[strings.Index(got, ">")+1 : strings.LastIndex(got, "<")])
		if err != nil {
			t.Fatal(err)
		}
		_, msg, err := n.Step(data)
		if err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if strings.HasPrefix(got, "<success") {
			break
		}
		p.send("<response xmlns='%s'>%s</response>", nsSASL, base64.StdEncoding.EncodeToString(msg))
	}
	p.header("to='a.test'")
	if got := p.bind("x"); got != "alice@a.test/x" {
		t.Error(got)
	}
}

func TestMechanismsNeedTLS(t *testing.T) { // T04
	r := newRig(t, "")
	p := r.dial()
	f := p.header("to='a.test'")
	if want := "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"; f != want {
		t.Errorf("features %s", f)
	}
	for _, m := range []string{"PLAIN", "SCRAM-SHA-1", "FOO"} {
		p.send("<auth xmlns='%s' mechanism='%s'>AGEAYg==</auth>", nsSASL, m)
		p.want(fmt.Sprintf("<failure xmlns='%s'><encryption-required/></failure>", nsSASL))
	}
}

func TestPlainNeedsPermissionWithoutTLS(t *testing.T) {
	r := newRig(t, "[c2s]\nrequire_encryption = false\n")
	p := r.dial()
	f := p.header("to='a.test'")
	if strings.Contains(f, "PLAIN") || !strings.Contains(f, "<mechanism>SCRAM-SHA-256</mechanism>") || strings.Contains(f, "required") {
		t.Errorf("features %s", f)
	}
	p.send("%s", plain("alice"))
	p.want("<failure *<encryption-required/>*")
}

// XEP-0440 §3: bindings are not announced without a mechanism for them.
func TestNoBindingsWithoutMechanism(t *testing.T) {
	r := newRig(t, "[c2s]\nsasl_mechanisms = [\"PLAIN\"]\n")
	f := r.dial().secure("a.test")
	if !strings.Contains(f, "<mechanisms xmlns='"+nsSASL+"'><mechanism>PLAIN</mechanism></mechanisms>") || strings.Contains(f, "channel-binding") {
		t.Error(f)
	}
}
