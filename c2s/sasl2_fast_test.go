package c2s

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"hash"
	"strconv"
	"strings"
	"testing"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/accept"
	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules/fast"
)

// binding is the tls-exporter data of the peer's connection (RFC 9266 §2).
func (p *peer) binding() []byte {
	p.t.Helper()
	cs := p.c.(*tls.Conn).ConnectionState()
	b, err := cs.ExportKeyingMaterial("EXPORTER-Channel-Binding", nil, 32)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func macOf(h func() hash.Hash, key []byte, text string) []byte {
	m := hmac.New(h, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// fastLogin is a login with a token.
func (p *peer) fastLogin(user, token, inner string) string {
	p.t.Helper()
	message := user + "\x00" + string(macOf(sha256.New, []byte(token), "Initiator"+string(p.binding())))
	return "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='HT-SHA-256-EXPR'><initial-response>" + b64(message) + "</initial-response>" +
		"<user-agent id='" + agentID + "'/>" + inner + "</authenticate>"
}

// responder is the success data for a token.
func (p *peer) responder(token string) string {
	return "<additional-data>" + b64(string(macOf(sha256.New, []byte(token), "Responder"+string(p.binding())))) + "</additional-data>"
}

// scram2 logs in with SCRAM-SHA-256-PLUS and returns what the server says then.
func (p *peer) scram2(user, inner string) string {
	p.t.Helper()
	cs := p.c.(*tls.Conn).ConnectionState()
	c := sasl.NewClient(sasl.ScramSha256Plus, sasl.TLSState(cs), sasl.RemoteMechanisms("SCRAM-SHA-256-PLUS"),
		sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte(user), []byte(password), nil }))
	_, first, err := c.Step(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-256-PLUS'><initial-response>%s</initial-response>%s%s</authenticate>",
		b64(string(first)), agent, inner)
	data := func(s, name string) []byte {
		_, text, _ := strings.Cut(between(s, "<"+name, "</"+name), ">")
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
		return b
	}
	_, second, err := c.Step(data(p.want("<challenge xmlns='urn:xmpp:sasl:2'>*</challenge>"), "challenge"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.send("<response xmlns='urn:xmpp:sasl:2'>%s</response>", b64(string(second)))
	got := p.next()
	if strings.Contains(got, "<additional-data>") {
		if _, _, err := c.Step(data(got, "additional-data")); err != nil {
			p.t.Fatalf("the server's signature: %v in %s", err, got)
		}
	}
	return got
}

const requestToken = "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>"

// TestSASL2FAST is the life of a client: it logs in with its password, comes back with its token and resumes, comes back
// after the session is gone, comes back with a token that is no good, and leaves.
func TestSASL2FAST(t *testing.T) {
	r := newRig(t, "", fast.Info)
	p := r.secure()
	f := p.header("to='a.test' from='alice@a.test'")
	p.like(f, "*</bind><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-ENDP</mechanism>"+
		"<mechanism>HT-SHA-256-NONE</mechanism></fast></inline><upgrade *")
	if strings.Contains(strings.Replace(f, between(f, "<fast ", "</fast>"), "", 1), "HT-") {
		t.Errorf("HT-* is listed: %s", f)
	}
	s := p.scram2("alice", bindApp+requestToken)
	p.like(s, "<success xmlns='urn:xmpp:sasl:2'><additional-data>*</additional-data>"+
		"<authorization-identifier>alice@a.test/App.*</authorization-identifier>"+enabledSM+"<token xmlns='urn:xmpp:fast:0' token='*' expiry='*Z'/></success>")
	token, full, sm := between(s, " token='", "'"), between(s, "identifier>", "<"), between(s, "sm:3' id='", "'")
	p.want("<stream:features><csi *")
	p.quiet()
	p.want("<r *")
	p.c.Close()
	r.watch.until(t, "opened "+full)

	// Back with the token, and the session goes on.
	back := "<fast xmlns='urn:xmpp:fast:0' count='7'/><resume xmlns='urn:xmpp:sm:3' h='1' previd='" + sm + "'/>" + bindApp
	p = r.secure()
	p.header("to='a.test' from='alice@a.test'")
	p.send("%s", p.fastLogin("alice", token, back))
	p.want("<success xmlns='urn:xmpp:sasl:2'>" + p.responder(token) + "<authorization-identifier>" + full + "</authorization-identifier>" +
		"<resumed xmlns='urn:xmpp:sm:3' h='1' previd='" + sm + "'/></success>")
	p.quiet() // no features (XEP-0198 §9.2)
	p.want("<r *")
	p.send("</stream:stream>")
	p.want("<a *")
	p.closed()
	r.watch.until(t, "closed "+full)

	// S expired: the session is gone, so a resource is bound. It is the same.
	p = r.secure()
	p.header("to='a.test' from='alice@a.test'")
	p.send("%s", p.fastLogin("alice", token, strings.Replace(back, "'7'", "'8'", 1)))
	p.want("<success xmlns='urn:xmpp:sasl:2'>" + p.responder(token) + "<authorization-identifier>" + full + "</authorization-identifier>" +
		"<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>" + enabledSM + "</success>")
	p.want("<stream:features><csi *")

	// S bad: the same count again, then the password on the same stream.
	p = r.secure()
	p.header("to='a.test' from='alice@a.test'")
	p.send("%s", p.fastLogin("alice", token, strings.Replace(back, "'7'", "'8'", 1)))
	p.want("<failure xmlns='urn:xmpp:sasl:2'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>")
	p.like(p.scram2("alice", bindApp+requestToken), "<success *<token *")
	p.want("<stream:features>*")

	// The stream is from somebody else (K04); no token comes of a failure (K10).
	p = r.secure()
	p.header("to='a.test' from='bob@a.test'")
	p.send("%s", p.fastLogin("alice", token, requestToken))
	p.want("<failure xmlns='urn:xmpp:sasl:2'><invalid-authzid *</failure>")
	p.send("%s", authenticate("bob\x00wrong", agent+requestToken))
	p.want("<failure xmlns='urn:xmpp:sasl:2'><malformed-request *</failure>")

	// HT-* is no mechanism of the other profile, and not without TLS.
	p = r.secure()
	p.header("to='a.test'")
	p.send("<auth xmlns='%s' mechanism='HT-SHA-256-NONE'>AAAA</auth>", nsSASL)
	p.want("<failure xmlns='" + nsSASL + "'><invalid-mechanism/></failure>")

	// Leaving (XEP-0484 §3.6).
	p.send("%s", p.fastLogin("alice", token, "<fast xmlns='urn:xmpp:fast:0' count='9' invalidate='true'/>"))
	p.want("<success xmlns='urn:xmpp:sasl:2'>" + p.responder(token) + "<authorization-identifier>alice@a.test</authorization-identifier></success>")
	p.want("<stream:features>*")
	p = r.secure()
	p.header("to='a.test'")
	p.send("%s", p.fastLogin("alice", token, "<fast xmlns='urn:xmpp:fast:0' count='10'/>"))
	p.want("<failure xmlns='urn:xmpp:sasl:2'><not-authorized *</failure>")
	if log := r.log.String(); strings.Contains(log, token) || strings.Contains(log, agentID) {
		t.Error("the log tells what it should not")
	}
}

// Who guesses tokens is slowed as who guesses passwords is.
func TestFASTGuesses(t *testing.T) {
	r := newRig(t, "[limits]\nauth_delay = '1ms'\nauth_delay_max = '2ms'\n", fast.Info)
	p := r.secure()
	p.header("to='a.test'")
	for range 3 {
		p.send("%s", p.fastLogin("alice", "guess", ""))
		p.want("<failure xmlns='urn:xmpp:sasl:2'><not-authorized *</failure>")
	}
	r.throttle.SetLimits(auth.ThrottleLimits{Delay: time.Hour, DelayMax: time.Hour}) // the wait is not over when we look
	if wait, _ := r.throttle.Wait(accept.Visitor(p.c.LocalAddr()), "alice@a.test"); wait == 0 {
		t.Error("nobody waits")
	}
}

// upgrade plays XEP-0480 with an account that has keys for SHA-1 only. It returns what the server says to the hash.
func (r *rig) upgrade(p *peer, login, salted string) string {
	r.t.Helper()
	p.header("to='a.test'")
	p.send("%s", login)
	p.want("<continue xmlns='urn:xmpp:sasl:2'><tasks><task>UPGR-SCRAM-SHA-256</task></tasks></continue>")
	p.send("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>")
	s := p.want("<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='*'>*</salt></task-data>")
	_, data, _ := strings.Cut(between(s, "<salt", "</salt>"), ">")
	salt, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		r.t.Fatal(s, err)
	}
	iterations, _ := strconv.Atoi(between(s, "iterations='", "'"))
	if salted == "" {
		k, err := pbkdf2.Key(sha256.New, password, salt, iterations, 32)
		if err != nil {
			r.t.Fatal(err)
		}
		salted = b64(string(k))
	}
	p.send("<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>%s</hash></task-data>", salted)
	return p.next()
}

func (r *rig) hashes(local string) string {
	a, err := r.accounts.Host("a.test").Get(context.Background(), local)
	if err != nil {
		r.t.Fatal(err)
	}
	return fmt.Sprint(a.Hashes)
}

func TestSASL2Upgrade(t *testing.T) {
	r := newRig(t, "", fast.Info)
	ctx := context.Background()
	old := func() {
		r.accounts.SetOptions(auth.Options{Iterations: 1000, Hashes: []string{"SHA-1"}})
		if err := r.users("a.test").SetPassword(ctx, "alice", password); err != nil {
			t.Fatal(err)
		}
		r.accounts.SetOptions(auth.Options{Iterations: 1000, Hashes: []string{"SHA-1", "SHA-256"}})
	}
	old()
	wants := "<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade>"
	login := authenticate("alice", agent+wants+wants+"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-1</upgrade>"+
		"<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-FOO</upgrade>"+bindApp+requestToken)

	// A hash that cannot be: nobody is let in, and nothing is begun anew (XEP-0388 §5.7).
	p := r.secure()
	p.like(r.upgrade(p, login, b64("short")), strings.Replace(s2Fail, "<* ", "<malformed-request ", 1))
	p.send("%s", authenticate("alice", ""))
	p.fails("policy-violation")
	p = r.secure()
	p.like(r.upgrade(p, login, "!"), strings.Replace(s2Fail, "<* ", "<incorrect-encoding ", 1))
	if got := r.hashes("alice"); got != "[SHA-1]" {
		t.Fatalf("keys for %s", got)
	}
	// Something else than the task, or the wrong one (XEP-0388 §2.4).
	for _, c := range []string{"<response xmlns='urn:xmpp:sasl:2'/>", "<task-data xmlns='urn:xmpp:sasl:2'/>", "<iq/>"} {
		p = r.secure()
		p.header("to='a.test'")
		p.send("%s", login)
		p.want("<continue *")
		p.send("%s", c)
		p.fails("policy-violation")
	}
	for _, c := range []string{"<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-512'/>", "<abort xmlns='urn:xmpp:sasl:2'/>"} {
		p = r.secure()
		p.header("to='a.test'")
		p.send("%s", login)
		p.want("<continue *")
		p.send("%s", c)
		p.like(p.next(), s2Fail)
	}
	// The password changes while the task is under way.
	p = r.secure()
	p.header("to='a.test'")
	p.send("%s", login)
	p.want("<continue *")
	p.send("<next xmlns='urn:xmpp:sasl:2' task='UPGR-SCRAM-SHA-256'/>")
	p.want("<task-data *")
	old()
	p.send("<task-data xmlns='urn:xmpp:sasl:2'><hash xmlns='urn:xmpp:scram-upgrade:0'>%s</hash></task-data>", b64(strings.Repeat("x", 32)))
	p.like(p.next(), strings.Replace(s2Fail, "<* ", "<not-authorized ", 1))

	// As it should be. What was asked for inline is done at the end, not before (K10).
	p = r.secure()
	s := r.upgrade(p, login, "")
	p.like(s, "<success xmlns='urn:xmpp:sasl:2'><authorization-identifier>alice@a.test/App.*"+"*<token *</success>")
	p.want("<stream:features>*")
	if got := r.hashes("alice"); got != "[SHA-1 SHA-256]" {
		t.Fatalf("keys for %s", got)
	}
	// The keys are right: they let the client in, and there is nothing left to do.
	p = r.secure()
	p.header("to='a.test'")
	p.like(p.scram2("alice", wants), "<success *")

	// Never after a token, which is no proof of the password.
	token := between(s, " token='", "'")
	old()
	p = r.secure()
	p.header("to='a.test'")
	p.send("%s", p.fastLogin("alice", token, wants))
	if s := p.next(); strings.HasPrefix(s, "<continue") {
		t.Errorf("got %s", s)
	}
	// With SCRAM the success data is in <continue/>, not again in <success/>.
	p = r.secure()
	p.header("to='a.test'")
	c := sasl.NewClient(sasl.ScramSha1, sasl.Credentials(func() ([]byte, []byte, []byte) { return []byte("alice"), []byte(password), nil }))
	_, first, _ := c.Step(nil)
	p.send("<authenticate xmlns='urn:xmpp:sasl:2' mechanism='SCRAM-SHA-1'><initial-response>%s</initial-response>%s</authenticate>", b64(string(first)), wants)
	s = p.want("<challenge *")
	data, _ := base64.StdEncoding.DecodeString(between(s, "sasl:2'>", "<"))
	_, second, err := c.Step(data)
	if err != nil {
		t.Fatal(err)
	}
	p.send("<response xmlns='urn:xmpp:sasl:2'>%s</response>", b64(string(second)))
	p.want("<continue xmlns='urn:xmpp:sasl:2'><additional-data>*</additional-data><tasks>*")
}
