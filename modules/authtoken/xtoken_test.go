package authtoken

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/storage"
)

// The secrets of the vectors: the example of Prosody's module.
const (
	seedText   = "XVGR73KMZH2M4XMY"
	secretText = "JYXEX4IQOEYFYQ2S3MC5P4ZT4SDHYEA7"
)

func newHost(t testing.TB, options string, infos ...modules.Info) *modtest.Host {
	t.Helper()
	return modtest.NewConfig(t, "a.test", "[modules.mod_auth_token]\n"+options, infos...)
}

// xhost starts a host with X-TOKEN at a time.
func xhost(t testing.TB, host string, now int64, options string) *world {
	t.Helper()
	w := newWorld(t, host, "otp_seed = \""+seedText+"\"\ntoken_secret = \""+secretText+"\"\n"+options)
	w.now = time.Unix(now, 0)
	return w
}

func nonce(n int) string { return fmt.Sprintf("%032d", n) }

// slipOf signs as an application does, by the description of the format and not by the code under test.
func slipOf(secret, otp, nonce, jid string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(otp + nonce + jid))
	return otp + nonce + " " + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func otpAt(now time.Time, steps int64) string {
	seed, _ := base32.StdEncoding.DecodeString(seedText)
	return totp(seed, uint64(now.Unix()/30+steps))
}

// xtoken is a message of X-TOKEN that is right now.
func (w *world) xtoken(local, host, nonce string) []byte {
	return []byte("\x00" + local + "\x00" + slipOf(secretText, otpAt(w.wall(), 0), nonce, local+"@"+host))
}

// x is a login with X-TOKEN that must end with a condition, "" for success.
func (w *world) x(message []byte, want string, why error) auth.Identity {
	w.t.Helper()
	id, out, got, cause := w.try("X-TOKEN", message)
	if got != want || why != nil && !errors.Is(cause, why) || out != nil {
		w.t.Errorf("got %q (%v) with %q, want %q (%v)", got, cause, out, want, why)
	}
	return id
}

// TestTOTP: RFC 6238 appendix B, for HMAC-SHA-1.
func TestTOTP(t *testing.T) {
	seed := []byte("12345678901234567890")
	for at, want := range map[uint64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		if got := totp(seed, at/30); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
}

// TestXTokenVectors: tokens that other software made.
func TestXTokenVectors(t *testing.T) {
	for _, v := range []struct {
		local, host        string
		at                 int64
		otp, before, after string
		token, message     string
	}{
		{"juliet", "example.com", 1700000000, "80952309", "20470099", "09017861",
			"8095230900000000000000000000000000000001 N6QVoygOyGmO1lR78zk09yEKi00/QxxroQWtNda4YIo=",
			"AGp1bGlldAA4MDk1MjMwOTAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAxIE42UVZveWdPeUdtTzFsUjc4emswOXlFS2kwMC9ReHhyb1FXdE5kYTRZSW89"},
		{"romeo", "montague.example", 1767225600, "16724861", "50781532", "01802476",
			"1672486112345678901234567890123456789012 hgDPoLTbgumFF+WdG1E4esUJsp5yeauGu5sdOczQgmY=", ""},
		{"alice", "example.org", 2000000015, "00794887", "25399201", "54993280",
			"0079488798765432109876543210987654321098 cJd6jWiUNDDD6U3WND0Fzixj6kGywD5LSjYn2APANT4=", ""},
	} {
		t.Run("K15 "+v.local, func(t *testing.T) {
			for i, want := range []string{v.before, v.otp, v.after} {
				if got := otpAt(time.Unix(v.at, 0), int64(i-1)); got != want {
					t.Errorf("one-time password %d: %s, want %s", i-1, got, want)
				}
			}
			if got := slipOf(secretText, v.otp, v.token[8:40], v.local+"@"+v.host); got != v.token {
				t.Errorf("signed %s", got)
			}
			w := xhost(t, v.host, v.at, "")
			w.User(v.local)
			message := []byte("\x00" + v.local + "\x00" + v.token)
			if v.message != "" {
				message, _ = base64.StdEncoding.DecodeString(v.message)
			}
			id := w.x(message, "", nil)
			if l, ok := id.Details.(*Login); !ok || l.Token != "x-token" || id.JID.String() != v.local+"@"+v.host || id.Mechanism != "X-TOKEN" || id.Made {
				t.Errorf("%+v", id)
			}
			w.silent(v.token, v.token[41:], v.otp, secretText, seedText)
		})
	}
	// The secret looks like base32 and is not: these are its characters.
	w := xhost(t, "example.com", 1700000000, "")
	w.User("juliet")
	w.x([]byte("\x00juliet\x008095230900000000000000000000000000000001 jZzl7KxvtpCrGv1J92M2T16VMOSWAIbKoOeeRGQAMT0="), auth.NotAuthorized, errMAC)
}

// TestReplay is K16 and K17: a token is used once, and restarts do not forget that.
func TestReplay(t *testing.T) {
	w := xhost(t, "a.test", 1700000000, "")
	w.User("alice")
	first := w.xtoken("alice", "a.test", nonce(1))
	w.x(first, "", nil)
	w.x(first, auth.NotAuthorized, errReplay)
	w.pass(30 * time.Second)
	second := w.xtoken("alice", "a.test", nonce(2))
	w.x(second, "", nil)
	w.x(first, auth.NotAuthorized, errReplay) // K17, which one slot for each account would let pass
	w.x(second, auth.NotAuthorized, errReplay)
	w.x(w.xtoken("alice", "a.test", nonce(3)), "", nil) // another nonce with the same password
	if err := w.Reload("[modules.mod_auth_token]\notp_seed = \"" + seedText + "\"\ntoken_secret = \"" + secretText + "\"\nnonce_length = 31\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload("[modules.mod_auth_token]\notp_seed = \"" + seedText + "\"\ntoken_secret = \"" + secretText + "\"\n"); err != nil {
		t.Fatal(err)
	}
	w.x(first, auth.NotAuthorized, errReplay) // K16, after two new instances
	// A clock set back by an hour, when much else was used meanwhile.
	for i := range 40 {
		w.pass(2 * time.Minute)
		w.x(w.xtoken("alice", "a.test", nonce(100+i)), "", nil)
	}
	w.pass(-80 * time.Minute)
	w.x(second, auth.NotAuthorized, errReplay)
	// What nobody can use again is forgotten.
	if n := count(t, w, kvSeen); n != 43 {
		t.Errorf("%d tokens are remembered", n)
	}
	w.pass(24 * time.Hour)
	for i := range 10 {
		w.x(w.xtoken("alice", "a.test", nonce(i)), "", nil)
	}
	if seen, until := count(t, w, kvSeen), count(t, w, kvUntil); seen != 10 || until != 10 {
		t.Errorf("%d and %d tokens are remembered", seen, until)
	}
}

func count(t *testing.T, w *world, kv string) (n int) {
	t.Helper()
	if err := w.m.h.Store.KV(kv).Scan(t.Context(), nil, nil, func(_, _ []byte) bool { n++; return true }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestWindow is K19: now, and half a minute to either side.
func TestWindow(t *testing.T) {
	w := xhost(t, "a.test", 1700000010, "")
	w.User("alice")
	for i, tc := range []struct {
		steps int64
		want  string
	}{{-3, auth.NotAuthorized}, {-2, auth.NotAuthorized}, {-1, ""}, {0, ""}, {1, ""}, {2, auth.NotAuthorized}, {3, auth.NotAuthorized}} {
		var why error
		if tc.want != "" {
			why = errOTP
		}
		w.x([]byte("\x00alice\x00"+slipOf(secretText, otpAt(w.wall(), tc.steps), nonce(i), "alice@a.test")), tc.want, why)
	}
}

// TestXTokenRefused is K18, K20, K21.
func TestXTokenRefused(t *testing.T) {
	w := xhost(t, "a.test", 1700000000, "")
	w.User("alice")
	otp := otpAt(w.wall(), 0)
	good := slipOf(secretText, otp, nonce(1), "alice@a.test")
	digits, signature, _ := strings.Cut(good, " ")
	// A token for 1alice, and its digits cut elsewhere.
	other := slipOf(secretText, otp, nonce(1), "1alice@a.test")
	otherDigits, otherSignature, _ := strings.Cut(other, " ")
	short := slipOf(secretText, otp, nonce(1)[:31], "1alice@a.test")
	for name, tc := range map[string]struct{ message, want string }{
		"K18 1alice, nonce longer":     {"\x00alice\x00" + otherDigits + "1 " + otherSignature, auth.MalformedRequest},
		"K18 1alice, as it is":         {"\x00alice\x00" + other, auth.NotAuthorized},
		"K18 nonce of 31":              {"\x001alice\x00" + short, auth.MalformedRequest},
		"K18 no nonce":                 {"\x00alice\x00" + slipOf(secretText, otp, "", "alice@a.test"), auth.MalformedRequest},
		"K19 seven digits":             {"\x00alice\x00" + digits[1:] + " " + signature, auth.MalformedRequest},
		"K19 Arabic digits":            {"\x00alice\x00" + "١" + digits[2:] + " " + signature, auth.MalformedRequest},
		"K20 empty message":            {"", auth.MalformedRequest},
		"K20 empty token":              {"\x00alice\x00", auth.MalformedRequest},
		"K20 no space":                 {"\x00alice\x00" + digits + signature, auth.MalformedRequest},
		"K20 two spaces":               {"\x00alice\x00" + digits + "  " + signature, auth.MalformedRequest},
		"K20 tab":                      {"\x00alice\x00" + digits + "\t" + signature, auth.MalformedRequest},
		"K20 space in front":           {"\x00alice\x00 " + good, auth.MalformedRequest},
		"K20 space behind":             {"\x00alice\x00" + good + " ", auth.MalformedRequest},
		"K20 line feed behind":         {"\x00alice\x00" + good + "\n", auth.MalformedRequest},
		"K20 bad base64":               {"\x00alice\x00" + digits + " " + strings.Replace(signature, "=", "!", 1), auth.MalformedRequest},
		"K20 line feed in base64":      {"\x00alice\x00" + digits + " " + signature[:20] + "\n" + signature[21:], auth.MalformedRequest},
		"K20 base64 without padding":   {"\x00alice\x00" + digits + " " + strings.TrimRight(signature, "="), auth.MalformedRequest},
		"K20 base64 with stray bits":   {"\x00alice\x00" + digits + " " + stray(signature), auth.MalformedRequest},
		"K20 base64 for the URL":       {"\x00alice\x00" + digits + " -" + signature[1:], auth.MalformedRequest},
		"K20 hex":                      {"\x00alice\x00" + digits + " " + strings.Repeat("00", 32), auth.MalformedRequest},
		"K20 a megabyte":               {"\x00alice\x00" + strings.Repeat("1", 1<<20), auth.MalformedRequest},
		"K20 NULs":                     {strings.Repeat("\x00", 100), auth.MalformedRequest},
		"K20 no NUL":                   {"alice", auth.MalformedRequest},
		"K20 one NUL":                  {"alice\x00" + good, auth.MalformedRequest},
		"K20 NUL behind":               {"\x00alice\x00" + good + "\x00", auth.MalformedRequest},
		"K20 not UTF-8":                {"\x00al\xffice\x00" + good, auth.MalformedRequest},
		"K20 nobody":                   {"\x00\x00" + good, auth.MalformedRequest},
		"K20 bare JID":                 {"\x00alice@a.test\x00" + good, auth.MalformedRequest},
		"K21 other secret":             {"\x00alice\x00" + slipOf(seedText+seedText, otp, nonce(1), "alice@a.test"), auth.NotAuthorized},
		"K21 other seed":               {"\x00alice\x00" + slipOf(secretText, "12345678", nonce(1), "alice@a.test"), auth.NotAuthorized},
		"K21 other host":               {"\x00alice\x00" + slipOf(secretText, otp, nonce(1), "alice@b.test"), auth.NotAuthorized},
		"K21 no host":                  {"\x00alice\x00" + slipOf(secretText, otp, nonce(1), "alice"), auth.NotAuthorized},
		"K21 full JID":                 {"\x00alice\x00" + slipOf(secretText, otp, nonce(1), "alice@a.test/x"), auth.NotAuthorized},
		"K21 authzid of another":       {"bob@a.test\x00alice\x00" + good, auth.InvalidAuthzid},
		"K21 authzid of another host":  {"alice@b.test\x00alice\x00" + good, auth.InvalidAuthzid},
		"K21 authzid is no JID":        {"@\x00alice\x00" + good, auth.InvalidAuthzid},
		"K21 authzid is the localpart": {"alice\x00alice\x00" + good, auth.InvalidAuthzid},
		"no account":                   {"\x00bob\x00" + slipOf(secretText, otp, nonce(1), "bob@a.test"), auth.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if id, _, got, cause := w.try("X-TOKEN", []byte(tc.message)); got != tc.want {
				t.Errorf("%q (%v) as %v, want %s", got, cause, id.JID, tc.want)
			}
		})
	}
	w.x([]byte("\x00alice\x00"+good), "", nil)
	w.x([]byte("alice@a.test\x00alice\x00"+slipOf(secretText, otp, nonce(2), "alice@a.test")), "", nil)
	w.x([]byte("\x00ALICE\x00"+slipOf(secretText, otp, nonce(3), "alice@a.test")), "", nil) // signed as prepared
	w.x([]byte("\x00ALICE\x00"+slipOf(secretText, otp, nonce(4), "ALICE@a.test")), auth.NotAuthorized, errMAC)
}

// stray sets the bits that the last character of base64 does not use.
func stray(signature string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	i := strings.IndexByte(alphabet, signature[42])
	return signature[:42] + string(alphabet[i|3]) + "="
}

// TestXTokenBits: no bit of a token can be changed.
func TestXTokenBits(t *testing.T) {
	w := xhost(t, "a.test", 1700000000, "auto_accounts = true\n")
	raw := w.xtoken("alice", "a.test", nonce(1))
	for i := range raw {
		for bit := range 8 {
			raw[i] ^= 1 << bit
			// A name in another case is the same name, so that is no other token.
			if id, _, condition, _ := w.try("X-TOKEN", raw); condition == "" && !(i > 0 && i < 6 && bit == 5) {
				t.Errorf("K24 bit %d of byte %d changed: %v is in", bit, i, id.JID)
			}
			raw[i] ^= 1 << bit
		}
	}
}

func TestNonceLength(t *testing.T) {
	w := xhost(t, "a.test", 1700000000, "nonce_length = 8\n")
	w.User("alice")
	otp := otpAt(w.wall(), 0)
	w.x([]byte("\x00alice\x00"+slipOf(secretText, otp, "12345678", "alice@a.test")), "", nil)
	for _, n := range []string{"1234567", "123456789", nonce(1)} {
		w.x([]byte("\x00alice\x00"+slipOf(secretText, otp, n, "alice@a.test")), auth.MalformedRequest, errSyntax)
	}
}

// TestXTokenAccounts: by default the account must be there; both switches for the other way do the same.
func TestXTokenAccounts(t *testing.T) {
	ctx := context.Background()
	for _, options := range []string{"auto_accounts = true\n", "require_account = false\n"} {
		w := xhost(t, "a.test", 1700000000, options)
		w.x([]byte("\x00alice\x00"+slipOf("guessed", otpAt(w.wall(), 0), nonce(1), "alice@a.test")), auth.NotAuthorized, errMAC)
		if ok, _ := w.Users.Exists(ctx, "alice"); ok {
			t.Error("an account is made for a bad token")
		}
		if id := w.x(w.xtoken("alice", "a.test", nonce(1)), "", nil); !id.Made {
			t.Error("not told that the account was made")
		}
		if id := w.x(w.xtoken("alice", "a.test", nonce(2)), "", nil); id.Made {
			t.Error("made twice")
		}
		w.Users.SetDisabled(ctx, "alice", true)
		w.x(w.xtoken("alice", "a.test", nonce(3)), auth.AccountDisabled, nil)
		w.Users.Delete(ctx, "alice")
		w.x(w.xtoken("alice", "a.test", nonce(4)), auth.NotAuthorized, errKeptName)
		w.x(w.xtoken("alice", "a.test", nonce(2)), auth.NotAuthorized, nil)
		w.Users.Fail = errors.New("disk on fire")
		w.x(w.xtoken("bob", "a.test", nonce(5)), auth.TemporaryAuthFailure, nil)
	}
	w := xhost(t, "a.test", 1700000000, "")
	w.x(w.xtoken("alice", "a.test", nonce(1)), auth.NotAuthorized, errNobody)
	store := &broken{Bucket: w.m.h.Store, update: errors.New("disk on fire")}
	w.User("alice")
	w.m.h.Store = store
	w.x(w.xtoken("alice", "a.test", nonce(2)), auth.TemporaryAuthFailure, store.update) // it could not be remembered
}

// TestXTokenKeys: the secrets may be keys of mod_keystore, raw bytes, and the previous ones verify.
func TestXTokenKeys(t *testing.T) {
	w := newWorld(t, "a.test", "")
	seed, _ := base32.StdEncoding.DecodeString(seedText)
	w.keys.keys["seed"] = keystore.Keys{Current: seed}
	w.keys.keys["secret"] = keystore.Keys{Current: []byte(secretText)}
	section := "[modules.mod_auth_token]\notp_seed_key = \"seed\"\ntoken_secret_key = \"secret\"\n"
	if err := w.Reload(section); err != nil {
		t.Fatal(err)
	}
	w.User("alice")
	w.x(w.xtoken("alice", "a.test", nonce(1)), "", nil)
	w.keys.Rotate("secret", "")
	w.keys.Rotate("seed", "")
	w.x(w.xtoken("alice", "a.test", nonce(2)), "", nil)
	w.keys.Rotate("secret", "")
	w.x(w.xtoken("alice", "a.test", nonce(3)), auth.NotAuthorized, errMAC)
	w.keys.Rotate("seed", "")
	w.x(w.xtoken("alice", "a.test", nonce(4)), auth.NotAuthorized, errOTP)
	w.keys.err = keystore.ErrBackend
	w.x(w.xtoken("alice", "a.test", nonce(5)), auth.TemporaryAuthFailure, keystore.ErrBackend)
	w.keys.err = nil

	if err := w.Reload(strings.Replace(section, `"secret"`, `"missing"`, 1)); !errors.Is(err, keystore.ErrNoKey) || !strings.Contains(err.Error(), "token_secret_key") {
		t.Errorf("a key that is not there: %v", err)
	}
	if _, err := modtest.TryConfig(t, "a.test", section, Info); err == nil || !strings.Contains(err.Error(), "otp_seed_key") || !strings.Contains(err.Error(), "mod_keystore") {
		t.Errorf("no keystore: %v", err)
	}
}

// TestXTokenOffer is K22: with both secrets, under TLS.
func TestXTokenOffer(t *testing.T) {
	w := xhost(t, "a.test", 1700000000, "")
	clear := conn("a.test")
	clear.TLS = nil
	if !w.offered("X-TOKEN", conn("a.test")) || w.offered("X-TOKEN", clear) {
		t.Error("K22")
	}
	// Alone, without any keystore.
	h := newHost(t, "otp_seed = \""+seedText+"\"\ntoken_secret = \""+secretText+"\"\n", Info)
	if m := h.Table().Mechanisms; len(m) != 1 || m[0].Name != "X-TOKEN" {
		t.Errorf("%+v", m)
	}
	if strings.Contains(h.Log(), "nobody can log in") {
		t.Error(h.Log())
	}
}

// TestOneAccountTwice: the same token on two connections at once lets in one of them.
func TestOneAccountTwice(t *testing.T) {
	w := xhost(t, "a.test", 1700000000, "")
	w.User("alice")
	raw := w.xtoken("alice", "a.test", nonce(1))
	const n = 16
	results := make(chan string, n)
	for range n {
		go func() {
			x := auth.NewExchange(w.mechanism("X-TOKEN"), conn("a.test"))
			_, _, err := x.Step(context.Background(), raw)
			results <- fmt.Sprint(err)
		}()
	}
	in := 0
	for range n {
		if <-results == "<nil>" {
			in++
		}
	}
	if in != 1 {
		t.Errorf("%d are in", in)
	}
}

// What nobody can use again is forgotten also where nothing is used any more.
func TestSweepUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := xhost(t, "a.test", 1700000000, "")
		ctx := context.Background()
		const old, young = 2*sweepMany + 500, 10
		now := date(w.wall())
		err := w.m.h.Store.Update(ctx, func(tx storage.Tx) error {
			for i := range old + young {
				expiry := now + 60
				if i >= old {
					expiry += 12 * 3600
				}
				if err := remember(tx, name("test", fmt.Sprint(i)), 1, now, expiry); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := count(t, w, kvSeen); n != old+young {
			t.Errorf("%d are remembered at first", n)
		}
		w.pass(4 * time.Hour)
		time.Sleep(time.Hour)
		synctest.Wait()
		if seen, until := count(t, w, kvSeen), count(t, w, kvUntil); seen != young || until != young {
			t.Errorf("%d and %d are remembered, wanted %d", seen, until, young)
		}
		w.Loader.Stop(ctx) // and the sweep with it
		w.pass(24 * time.Hour)
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := count(t, w, kvSeen); n != young {
			t.Errorf("%d are remembered, after the module was stopped", n)
		}
	})
}

// Whoever prints the configuration, or the module as a whole, tells no secret.
func TestNothingPrintsSecrets(t *testing.T) {
	w := xhost(t, "a.test", vectorTime, "")
	seed, _ := base32.StdEncoding.DecodeString(seedText)
	for _, v := range []any{w.m.cfg, &w.m.cfg, w.m, *w.m.xtoken} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			got := fmt.Sprintf(verb, v)
			for _, text := range []string{seedText, secretText, string(seed), fmt.Sprintf("%x", secretText), fmt.Sprint([]byte(secretText)), fmt.Sprint(seed)} {
				if strings.Contains(got, text) {
					t.Errorf("%s of %T prints a secret: %s", verb, v, got)
				}
			}
		}
	}
}
