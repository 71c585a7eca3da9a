package test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

const (
	nsTokens = "erlang-solutions.com:xmpp:token-auth:0"
	nsSASL2  = "urn:xmpp:sasl:2"
)

// The secrets of X-TOKEN in these tests, as the documentation of Prosody's module has them.
const (
	otpSeed     = "XVGR73KMZH2M4XMY"
	tokenSecret = "JYXEX4IQOEYFYQ2S3MC5P4ZT4SDHYEA7"
	xtokenTOML  = "[modules.mod_auth_token]\notp_seed = \"" + otpSeed + "\"\ntoken_secret = \"" + tokenSecret + "\"\n"
)

// xToken signs a token of X-TOKEN as an application does. step is 0 for now, -1 for half a minute ago.
func xToken(jid, secret string, step int64) string {
	key, _ := base32.StdEncoding.DecodeString(otpSeed)
	mac := hmac.New(sha1.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix()/30+step)))
	sum := mac.Sum(nil)
	digits := fmt.Sprintf("%08d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%100_000_000)
	for len(digits) < 8+32 {
		var b [1]byte
		rand.Read(b[:])
		if b[0] < 250 {
			digits += string('0' + b[0]%10)
		}
	}
	mac = hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(digits + jid))
	return digits + " " + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// sign makes a token of X-OAUTH of its parts.
func sign(key []byte, parts ...string) string {
	body := strings.Join(parts, "\x00")
	mac := hmac.New(sha512.New384, key)
	mac.Write([]byte(body))
	return body + "\x00" + hex.EncodeToString(mac.Sum(nil))
}

// expiry is a time from now as these tokens write it.
func expiry(d time.Duration) string { return fmt.Sprint(time.Now().Add(d).Unix() + 62167219200) }

// present sends one message of a mechanism and returns the answer (RFC 6120 §6.4.2).
func present(c *xtest.Client, mechanism, message string) *xtest.Node {
	c.T.Helper()
	data := xtest.B64(message)
	if data == "" {
		data = "="
	}
	c.Send("<auth %s mechanism='%s'>%s</auth>", nsSASLP, mechanism, data)
	return c.Must()
}

// enter logs in with one message and binds.
func enter(t testing.TB, s *xtest.Server, full, mechanism, message string) (c *xtest.Client, data string) {
	t.Helper()
	bare, resource, _ := strings.Cut(full, "/")
	_, host, _ := strings.Cut(bare, "@")
	c = s.Secure(t, host)
	n := present(c, mechanism, message)
	if n.Name.Local != "success" {
		t.Fatalf("%s with %s: %s", full, mechanism, n)
	}
	b, err := base64.StdEncoding.DecodeString(n.Text)
	must(t, err)
	c.Restart()
	c.Open()
	c.Bind(resource)
	if !strings.HasPrefix(c.JID, bare+"/") {
		t.Fatalf("logged in as %s, not as %s", c.JID, bare)
	}
	return c, string(b)
}

// refuse fails the test unless a message is refused with that condition.
func refuse(t testing.TB, s *xtest.Server, host, mechanism, message, condition string) {
	t.Helper()
	c := s.Secure(t, host)
	defer c.Conn.Close()
	n := present(c, mechanism, message)
	if got := xtest.Condition(n); got != condition || len(n.Children) != 1 {
		t.Errorf("%s answers %s, wanted %s and no word more", mechanism, n, condition)
	}
}

// askTokens gets tokens by IQ.
func askTokens(c *xtest.Client) (access, refresh string) {
	c.T.Helper()
	bare, _, _ := strings.Cut(c.JID, "/")
	c.Send("<iq type='get' id='t' to='%s'><query xmlns='%s'/></iq>", bare, nsTokens)
	n := c.Want("<iq type='result' id='t' from='%s'><items xmlns='%s'><access_token>*</access_token><refresh_token>*</refresh_token></items></iq>", bare, nsTokens)
	for name, into := range map[string]*string{"access_token": &access, "refresh_token": &refresh} {
		b, err := base64.StdEncoding.DecodeString(n.Find(name).Text)
		must(c.T, err)
		*into = string(b)
	}
	return access, refresh
}

// offers lists the mechanisms of a connection.
func offers(features *xtest.Node) (list []string) {
	if m := features.Child("mechanisms"); m != nil {
		for _, c := range m.Children {
			list = append(list, c.Text)
		}
	}
	return list
}

// priv writes a key file beside the configuration.
func priv(t testing.TB, s *xtest.Server, name string, key []byte) string {
	t.Helper()
	dir := filepath.Join(s.Dir, "priv")
	must(t, os.MkdirAll(dir, 0o700))
	path := filepath.Join(dir, name)
	put(t, path, key, 0o600)
	return path
}

// keys are random bytes without NUL or line feed, so that they can be searched for.
func randomKey() []byte { return []byte(rand.Text() + rand.Text()) }

func asTest(t testing.TB) *testing.T { return t.(*testing.T) }

// TestXToken logs in with tokens that the test signs, over SASL and SASL2, and again with the same ones.
func TestXToken(t *testing.T) {
	o := xtest.Options{Hosts: []string{"localhost", "auto.test"}, Limits: `profile = "off"`, Extra: xtokenTOML +
		"[[host_config]]\nhost = \"auto.test\"\n[host_config.modules.mod_auth_token]\nauto_accounts = true\n"}
	s := xtest.New(t, o)
	s.AddUsers("alice@localhost")

	clear := s.Dial(t)
	clear.Open()
	features := s.Dial(t).Open()
	if n := offers(features); slices.Contains(n, "X-TOKEN") {
		t.Errorf("K22 offered in clear: %v", n)
	}
	if got := xtest.Condition(present(clear, "X-TOKEN", "\x00alice\x00"+xToken("alice@localhost", tokenSecret, 0))); got != "encryption-required" {
		t.Errorf("K22 in clear: %s", got)
	}
	c := s.Dial(t)
	c.Open()
	features = c.StartTLS()
	if n := offers(features); !slices.Contains(n, "X-TOKEN") || slices.Contains(n, "X-OAUTH") {
		t.Errorf("offered under TLS: %v", n)
	}

	token := xToken("alice@localhost", tokenSecret, 0)
	_, data := enter(t, s, "alice@localhost/a", "X-TOKEN", "\x00alice\x00"+token)
	if data != "" {
		t.Errorf("K15 the success has %q", data)
	}
	enter(t, s, "alice@localhost/b", "X-TOKEN", "alice@localhost\x00alice\x00"+xToken("alice@localhost", tokenSecret, -1))
	refuse(t, s, "localhost", "X-TOKEN", "\x00alice\x00"+token, "not-authorized")
	for what, tc := range map[string]struct{ message, want string }{
		"K21 other secret":      {"\x00alice\x00" + xToken("alice@localhost", tokenSecret+"x", 0), "not-authorized"},
		"K21 other host":        {"\x00alice\x00" + xToken("alice@auto.test", tokenSecret, 0), "not-authorized"},
		"K21 authzid":           {"bob@localhost\x00alice\x00" + xToken("alice@localhost", tokenSecret, 0), "invalid-authzid"},
		"K18 1alice":            {"\x00alice\x00" + xToken("1alice@localhost", tokenSecret, 0), "not-authorized"},
		"K19 a minute ago":      {"\x00alice\x00" + xToken("alice@localhost", tokenSecret, -3), "not-authorized"},
		"K20 empty":             {"\x00alice\x00", "malformed-request"},
		"K20 NULs":              {strings.Repeat("\x00", 50), "malformed-request"},
		"no such account":       {"\x00bob\x00" + xToken("bob@localhost", tokenSecret, 0), "not-authorized"},
		"K20 without the space": {"\x00alice\x00" + strings.Replace(xToken("alice@localhost", tokenSecret, 0), " ", "", 1), "malformed-request"},
	} {
		t.Run(what, func(t *testing.T) { refuse(t, s, "localhost", "X-TOKEN", tc.message, tc.want) })
	}

	// SASL2 (XEP-0388) knows the same mechanism.
	two := s.Secure(t, "localhost")
	token2 := xToken("alice@localhost", tokenSecret, 0)
	two.Send("<authenticate xmlns='%s' mechanism='X-TOKEN'><initial-response>%s</initial-response></authenticate>", nsSASL2, xtest.B64("\x00alice\x00"+token2))
	two.Want("<success xmlns='%s'><authorization-identifier>alice@localhost</authorization-identifier></success>", nsSASL2)

	s.Kill()
	s.Start(o)
	t.Run("K16 after a power cut", func(t *testing.T) {
		for _, used := range []string{token, token2} {
			refuse(t, s, "localhost", "X-TOKEN", "\x00alice\x00"+used, "not-authorized")
		}
	})
	enter(t, s, "alice@localhost/c", "X-TOKEN", "\x00alice\x00"+xToken("alice@localhost", tokenSecret, 0))

	// A host where the account comes with the first login, and stays.
	refuse(t, s, "auto.test", "X-TOKEN", "\x00carol\x00"+xToken("carol@auto.test", "guessed", 0), "not-authorized")
	var users []account
	cli{t, s}.json(&users, "", "user", "list", "auto.test")
	if len(users) > 0 {
		t.Errorf("accounts are made for bad tokens: %v", users)
	}
	enter(t, s, "carol@auto.test/x", "X-TOKEN", "\x00carol\x00"+xToken("carol@auto.test", tokenSecret, 0))
	two = s.Secure(t, "auto.test")
	two.Send("<authenticate xmlns='%s' mechanism='X-TOKEN'><initial-response>%s</initial-response></authenticate>", nsSASL2, xtest.B64("\x00dave\x00"+xToken("dave@auto.test", tokenSecret, 0)))
	two.Want("<success xmlns='%s'><authorization-identifier>dave@auto.test</authorization-identifier></success>", nsSASL2)
	cli{t, s}.json(&users, "", "user", "list", "auto.test")
	if len(users) != 2 || users[0].JID != "carol@auto.test" || users[1].JID != "dave@auto.test" {
		t.Errorf("the accounts: %v", users)
	}
}

// oauthTOML has a key in memory for access and refresh tokens, and one in a file for those who provision.
const oauthTOML = `[modules.mod_keystore]
keys = [{name = "token_secret", type = "ram"},
        {name = "provision_pre_shared", type = "file", path = "priv/provision_psk"}]
[modules.mod_auth_token]
provision_creates_account = true
validity_period.refresh = {value = 2, unit = "days"}
`

// TestXOAuth follows a client through its tokens: password, tokens by IQ, login with both kinds, revocation, and the end of
// the keys.
func TestXOAuth(t *testing.T) {
	o := xtest.Options{Limits: `profile = "off"`, Extra: oauthTOML, NoStart: true}
	s := xtest.New(t, o)
	psk := randomKey()
	priv(t, s, "provision_psk", append(psk, '\n'))
	s.Start(o)
	if !strings.Contains(s.Log(), "the key's last byte is a line feed") {
		t.Error("K34 nobody hears of the line feed")
	}
	s.AddUsers("alice@localhost", "bob@localhost")

	clear := s.Dial(t)
	if n := offers(clear.Open()); slices.Contains(n, "X-OAUTH") {
		t.Errorf("K22 offered in clear: %v", n)
	}
	if n := offers(clear.StartTLS()); !slices.Contains(n, "X-OAUTH") || slices.Contains(n, "X-TOKEN") {
		t.Errorf("K22 offered under TLS: %v", n)
	}

	alice := s.Login(t, "alice@localhost/password")
	alice.Send("<iq type='get' id='d' to='localhost'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
	if n := alice.Must(); !strings.Contains(n.String(), nsTokens) {
		t.Errorf("not announced: %s", n)
	}
	for _, to := range []string{"bob@localhost", "nobody@localhost"} {
		t.Run("K31 of "+to, func(t *testing.T) {
			alice.Send("<iq type='get' id='k31' to='%s'><query xmlns='%s'/></iq>", to, nsTokens)
			alice.Want("<iq type='error' id='k31'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		})
	}
	access, refresh := askTokens(alice)
	if !strings.HasPrefix(access, "access\x00alice@localhost\x00") || !strings.HasPrefix(refresh, "refresh\x00alice@localhost\x00") {
		t.Errorf("%q, %q", access, refresh)
	}

	byAccess, data := enter(t, s, "alice@localhost/access", "X-OAUTH", access)
	if data != "" {
		t.Errorf("K23 an access token gets %q", data)
	}
	byRefresh, fresh := enter(t, s, "alice@localhost/refresh", "X-OAUTH", refresh)
	enter(t, s, "alice@localhost/fresh", "X-OAUTH", fresh)
	two := s.Secure(t, "localhost")
	two.Send("<authenticate xmlns='%s' mechanism='X-OAUTH'><initial-response>%s</initial-response></authenticate>", nsSASL2, xtest.B64(refresh))
	n := two.Want("<success xmlns='%s'><additional-data>*</additional-data><authorization-identifier>alice@localhost</authorization-identifier></success>", nsSASL2)
	b, err := base64.StdEncoding.DecodeString(n.Child("additional-data").Text)
	must(t, err)
	enter(t, s, "alice@localhost/fresh2", "X-OAUTH", string(b))

	// What is not in order.
	body, mac, _ := cutLast(access)
	for what, message := range map[string]string{
		"K24 flipped":          body + "\x00" + flip(mac),
		"K25 upper case":       body + "\x00" + strings.ToUpper(mac),
		"K25 JID":              strings.Replace(access, "alice@", "ALICE@", 1),
		"K26 other host":       strings.Replace(access, "@localhost", "@a.test", 1),
		"other user":           strings.Replace(access, "alice@", "bob@", 1),
		"longer":               strings.Replace(access, "access\x00alice@localhost\x006", "access\x00alice@localhost\x007", 1),
		"refresh as access":    strings.Replace(refresh, "refresh", "access", 1),
		"empty":                "",
		"K30 other namespace":  sign(append(psk, '\n'), "provision", "eve@localhost", expiry(time.Hour), "<vCard xmlns='x'/>"),
		"K30 document type":    sign(append(psk, '\n'), "provision", "eve@localhost", expiry(time.Hour), "<!DOCTYPE v><vCard xmlns='vcard-temp'/>"),
		"K34 without the feed": sign(psk, "provision", "eve@localhost", expiry(time.Hour), "<vCard xmlns='vcard-temp'/>"),
		"provision for others": sign(append(psk, '\n'), "provision", "eve@b.test", expiry(time.Hour), "<vCard xmlns='vcard-temp'/>"),
		"PSK for access":       sign(append(psk, '\n'), "access", "alice@localhost", expiry(time.Hour)),
	} {
		t.Run(what, func(t *testing.T) { refuse(t, s, "localhost", "X-OAUTH", message, "not-authorized") })
	}
	refuse(t, s, "localhost", "X-OAUTH", sign(append(psk, '\n'), "provision", "eve@localhost", expiry(-time.Second), "<vCard xmlns='vcard-temp'/>"), "credentials-expired")
	var users []account
	cli{t, s}.json(&users, "", "user", "list")
	if len(users) != 2 {
		t.Errorf("K30 accounts were made: %v", users)
	}
	carol := sign(append(psk, '\n'), "provision", "carol@localhost", expiry(time.Hour), `<vCard xmlns="vcard-temp"><FN>Carol</FN></vCard>`)
	enter(t, s, "carol@localhost/x", "X-OAUTH", carol)
	enter(t, s, "carol@localhost/y", "X-OAUTH", carol)

	// Revocation, first without the sessions, then with them.
	bobs, _ := askTokens(s.Login(t, "bob@localhost/x"))
	if out := (cli{t, s}).ok("", "token", "revoke", "alice@localhost"); !strings.Contains(out, "alice@localhost") {
		t.Errorf("says %q", out)
	}
	t.Run("K28 revoked", func(t *testing.T) {
		for _, old := range []string{access, refresh, fresh} {
			refuse(t, s, "localhost", "X-OAUTH", old, "not-authorized")
		}
	})
	byRefresh.Barrier() // is still there
	var n2 struct {
		Ended int `json:"sessions_ended"`
	}
	cli{t, s}.json(&n2, "", "token", "revoke", "alice@localhost", "-sessions")
	if n2.Ended < 3 {
		t.Errorf("%d sessions ended", n2.Ended)
	}
	byAccess.WantStreamError("not-authorized")
	byRefresh.WantStreamError("not-authorized")
	alice.Barrier() // the one with the password
	enter(t, s, "bob@localhost/y", "X-OAUTH", bobs)
	c := cli{t, s}
	c.fails("", []string{"token", "revoke", "nobody@localhost"}, "no account nobody@localhost")
	c.fails("", []string{"token", "revoke", "alice@elsewhere.test"}, "elsewhere.test")

	// A new password ends them, and so does the end of the account, for good.
	_, refresh = askTokens(alice)
	must(t, passwd(s, "alice@localhost"))
	refuse(t, s, "localhost", "X-OAUTH", refresh, "not-authorized")
	_, refresh = askTokens(s.Login(t, "alice@localhost/again"))
	c.ok("", "user", "delete", "alice@localhost")
	s.AddUsers("alice@localhost")
	t.Run("K29 made again", func(t *testing.T) { refuse(t, s, "localhost", "X-OAUTH", refresh, "not-authorized") })

	// A reload that leaves the keys alone leaves the tokens alone; a restart ends those of a key in memory.
	access, refresh = askTokens(s.Login(t, "alice@localhost/x"))
	text, err := os.ReadFile(s.Config)
	must(t, err)
	put(t, s.Config, bytes.Replace(text, []byte(`keys = [`), []byte("ram_key_size = 64\nkeys = [{name = \"other\", type = \"ram\"},\n"), 1), 0o600)
	c.ok("", "reload")
	if k := keyList(t, s); k["localhost other"].Bytes != 64 || k["localhost token_secret"].Bytes != 2048 {
		t.Errorf("after the reload: %+v", k)
	}
	enter(t, s, "alice@localhost/y", "X-OAUTH", access)
	s.Kill()
	s.Start(o)
	t.Run("K35 restarted", func(t *testing.T) {
		for _, old := range []string{access, refresh, bobs} {
			refuse(t, s, "localhost", "X-OAUTH", old, "not-authorized")
		}
	})
	enter(t, s, "carol@localhost/z", "X-OAUTH", carol) // that key is in a file

	// Without a server the command works on the storage.
	must(t, s.Stop())
	c.ok("", "token", "revoke", "carol@localhost")
	s.Start(o)
	refuse(t, s, "localhost", "X-OAUTH", carol, "not-authorized")
}

func cutLast(token string) (body, mac string, ok bool) {
	i := strings.LastIndexByte(token, 0)
	return token[:i], token[i+1:], i >= 0
}

// flip changes one bit of a hex digit so that it is one still.
func flip(mac string) string {
	if mac[0] == '0' {
		return "1" + mac[1:]
	}
	return "0" + mac[1:]
}

// passwd sets the password of a test account again, which is a new one all the same.
func passwd(s *xtest.Server, jid string) error {
	if out, errs, code := s.Run(xtest.Password+"\n", "user", "passwd", jid); code != 0 {
		return fmt.Errorf("exit %d: %s%s", code, out, errs)
	}
	return nil
}

// TestTokenSecrets is K32 for tokens and keys: no secret of them is in the log, at debug, or in what commands print.
func TestTokenSecrets(t *testing.T) {
	psk := randomKey()
	o := xtest.Options{Limits: `profile = "off"`, NoStart: true,
		Extra: strings.Replace(oauthTOML, "[modules.mod_auth_token]\n", xtokenTOML, 1) + "auto_accounts = true\n"}
	s := xtest.New(t, o)
	priv(t, s, "provision_psk", psk)
	s.Start(o)
	s.AddUsers("alice@localhost")
	all := map[string]string{"otp_seed": otpSeed, "token_secret": tokenSecret, "key in a file": string(psk)}
	use := func(what, mechanism, message, secret string, good bool) {
		t.Helper()
		all[what] = secret
		c := s.Secure(t, "localhost")
		if n := present(c, mechanism, message); (n.Name.Local == "success") != good {
			t.Errorf("%s: %s", what, n)
		}
		c.Conn.Close()
	}
	access, refresh := askTokens(s.Login(t, "alice@localhost/x"))
	tail := func(token string) string { _, mac, _ := cutLast(token); return mac }
	use("access token", "X-OAUTH", access, tail(access), true)
	use("refresh token", "X-OAUTH", refresh, tail(refresh), true)
	wrong := sign([]byte("guessed"), "access", "alice@localhost", expiry(time.Hour))
	use("access token that is wrong", "X-OAUTH", wrong, tail(wrong), false)
	old := sign(psk, "provision", "bob@localhost", expiry(-time.Hour), "<vCard xmlns='vcard-temp'><FN>A vCard of bob</FN></vCard>")
	use("provision token that is old", "X-OAUTH", old, tail(old), false)
	good := sign(psk, "provision", "bob@localhost", expiry(time.Hour), "<vCard xmlns='vcard-temp'><FN>A vCard of bob</FN></vCard>")
	use("provision token", "X-OAUTH", good, tail(good), true)
	all["vCard"] = "A vCard of bob"
	if n := s.Login(t, "alice@localhost/y").IQ("get", "bob@localhost", "<vCard xmlns='vcard-temp'/>"); n.Find("FN") == nil || n.Find("FN").Text != "A vCard of bob" {
		t.Errorf("bob's vCard, as others see it: %s", n)
	}
	x := xToken("alice@localhost", tokenSecret, 0)
	use("X-TOKEN", "X-TOKEN", "\x00alice\x00"+x, x[41:], true)
	use("X-TOKEN again", "X-TOKEN", "\x00alice\x00"+x, x[:40], false)
	x = xToken("alice@localhost", "guessed", 0)
	use("X-TOKEN that is wrong", "X-TOKEN", "\x00alice\x00"+x, x[41:], false)
	x = xToken("carol@localhost", tokenSecret, 0)
	use("X-TOKEN of a new account", "X-TOKEN", "\x00carol\x00"+x, x[41:], true)
	use("X-TOKEN that is none", "X-TOKEN", "\x00alice\x00"+x+"x", x[:40], false)
	said := ""
	for _, args := range [][]string{{"key", "list"}, {"key", "rotate", "token_secret"}, {"token", "revoke", "alice@localhost", "-sessions"},
		{"check"}, {"check", "-json"}, {"reload"}, {"reload", "-dry-run"}, {"modules"}, {"session", "list"}, {"device", "list", "alice@localhost"}} {
		out, errs, _ := s.Run("", args...)
		said += out + errs
	}
	text, err := os.ReadFile(s.Config)
	must(t, err)
	changed := strings.Replace(strings.Replace(string(text), otpSeed, "JBSWY3DPEHPK3PXP", 1), tokenSecret, "another secret of thirty-two bytes", 1)
	all["new otp_seed"], all["new token_secret"] = "JBSWY3DPEHPK3PXP", "another secret of thirty-two bytes"
	put(t, s.Config, []byte(changed), 0o600)
	out, errs, code := s.Run("", "reload")
	if code != 0 || !strings.Contains(out, "(secret)") {
		t.Errorf("reload: exit %d\n%s%s", code, out, errs)
	}
	said += out + errs
	must(t, s.Stop())
	if n := strings.Count(s.Log(), "login"); n < 10 {
		t.Fatalf("this log cannot have much in it:\n%s", s.Log())
	}
	for what, secret := range all {
		for form, text := range map[string]string{"": secret, " in base64": xtest.B64(secret)[:len(secret)], " in hex": hex.EncodeToString([]byte(secret))} {
			if strings.Contains(s.Log(), text) || strings.Contains(said, text) {
				t.Errorf("K32 %s%s is in the log, or printed", what, form)
			}
		}
	}
	// K14, K35: what was given out is not in the database either; the vCard is, since it became the account's.
	db, err := os.ReadFile(filepath.Join(s.Dir, "data", "xmppd.db"))
	must(t, err)
	for what, secret := range all {
		if bytes.Contains(db, []byte(secret)) != (what == "vCard") {
			t.Errorf("%s is in the database, or is not: %v", what, what != "vCard")
		}
	}
	// Part 6: one line for each event, with who, from where and how.
	for _, want := range []string{`"msg":"tokens given"`, `"msg":"token given"`, `"msg":"tokens revoked"`, `"msg":"key rotated"`, `"msg":"key ready"`, `"msg":"account made for a token"`} {
		i := strings.Index(s.Log(), want)
		if i < 0 {
			t.Errorf("no line %s", want)
			continue
		}
		line, _, _ := strings.Cut(s.Log()[i:], "\n")
		for _, field := range []string{`"host":"localhost"`, `"module":"mod_`} {
			if !strings.Contains(line, field) {
				t.Errorf("no %s in %s", field, line)
			}
		}
		if by := map[string]string{`"msg":"tokens given"`: "PLAIN", `"msg":"token given"`: "X-OAUTH"}[want]; by != "" {
			for _, field := range []string{`"account":"alice@localhost"`, `"remote":"127.0.0.1:`, `"mechanism":"` + by + `"`, `"tls":"TLS 1.3"`} {
				if !strings.Contains(line, field) {
					t.Errorf("no %s in %s", field, line)
				}
			}
		}
	}
}

// TestTokensAndFAST: who logs in with a token of any kind gets a FAST token if he asks for one, in SASL2; it ends with the account's
// tokens (K28, XEP-0484, XEP-0494).
func TestTokensAndFAST(t *testing.T) {
	o := xtest.Options{Limits: `profile = "off"`, NoStart: true,
		Extra: strings.Replace(oauthTOML, "[modules.mod_auth_token]\n", xtokenTOML, 1)}
	s := xtest.New(t, o)
	psk := randomKey()
	priv(t, s, "provision_psk", psk)
	s.Start(o)
	for kind, message := range map[string]func(jid string) (mechanism, text string){
		"X-TOKEN": func(jid string) (string, string) {
			user, _, _ := strings.Cut(jid, "@")
			return "X-TOKEN", "\x00" + user + "\x00" + xToken(jid, tokenSecret, 0)
		},
		"X-OAUTH access": func(jid string) (string, string) {
			access, _ := askTokens(s.Login(t, jid+"/asks"))
			return "X-OAUTH", access
		},
		"X-OAUTH refresh": func(jid string) (string, string) {
			_, refresh := askTokens(s.Login(t, jid+"/asks"))
			return "X-OAUTH", refresh
		},
		"X-OAUTH provision": func(jid string) (string, string) {
			return "X-OAUTH", sign(psk, "provision", jid, expiry(time.Hour), "<vCard xmlns='vcard-temp'/>")
		},
	} {
		for what, flags := range map[string][]string{"tokens": nil, "sessions": {"-sessions"}} {
			t.Run("K28 "+kind+", "+what, func(t *testing.T) {
				user := strings.ToLower(strings.NewReplacer(" ", "", "-", "").Replace(kind) + what)
				jid := user + "@localhost"
				s.AddUsers(jid)
				mechanism, text := message(jid)
				c, _ := direct13(t, s)
				n := open2(c, user, fmt.Sprintf("<authenticate xmlns='%s' mechanism='%s'><initial-response>%s</initial-response>%s%s%s</authenticate>",
					nsSASL2, mechanism, xtest.B64(text), agent2, bind2, askToken))
				if n.Name.Local != "success" || n.Find("token") == nil {
					t.Fatalf("no FAST token: %s", n)
				}
				token := n.Find("token").Attr("token")
				c.Must() // features
				fast, _ := direct13(t, s)
				if n := open2(fast, user, withToken(fast, user, token, "")); n.Name.Local != "success" {
					t.Fatalf("FAST: %s", n)
				}
				if out := (cli{t, s}).ok("", "device", "list", jid); !strings.Contains(out, "grant") { // as XEP-0494 calls it
					t.Errorf("the device is not listed:\n%s", out)
				}
				cli{t, s}.ok("", append([]string{"token", "revoke", jid}, flags...)...)
				again, _ := direct13(t, s)
				if got := condition2(open2(again, user, withToken(again, user, token, ""))); got != "not-authorized" && got != "credentials-expired" {
					t.Errorf("a FAST token that was got with a revoked one: %s", got)
				}
				if what == "sessions" {
					c.WantStreamError("not-authorized")
				}
			})
		}
	}
}
