package extdisco

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

const (
	sharedSecret = "a secret of some length"
	file         = `[modules.mod_extdisco]
turn_secret = "` + sharedSecret + `"
services = [
{type = "stun", host = "stun.a.test", port = 3478, transport = "udp"},
{type = "turn", host = "turn.a.test", port = 3478, transport = "udp", name = "Relay"},
{type = "turns", host = "turn.a.test", port = 5349, transport = "tcp"},
{type = "ftp", host = "ftp.a.test", username = "guest", password = "guest's"},
]
`
	all = "<services xmlns='" + ns + "'/>"
)

func condition(st *stanza.Stanza) stanza.Condition {
	if e := st.StanzaError(); e != nil {
		return e.Condition
	}
	return ""
}

// relay checks that a TURN server with the secret takes what a service says.
func relay(t *testing.T, key string, s *stanza.Element) (user string) {
	t.Helper()
	mac := hmac.New(sha1.New, []byte(key))
	mac.Write([]byte(s.Attr("username")))
	if got := s.Attr("password"); got != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("the password of %s is %s", s.Attr("username"), got)
	}
	at, user, _ := strings.Cut(s.Attr("username"), ":")
	end := time.Now().Add(24 * time.Hour)
	if at != strconv.FormatInt(end.Unix(), 10) || s.Attr("expires") != end.UTC().Format("2006-01-02T15:04:05Z") || s.Attr("restricted") != "true" {
		t.Errorf("it ends %s, %s", at, s.Attr("expires"))
	}
	return user
}

// XEP-0215 §3.
func TestServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := modtest.NewConfig(t, "a.test", file, disco.Info, Info)
		a, b := h.Session("alice@a.test/one"), h.Session("bob@a.test/one")
		if got := string(a.IQ("get", "a.test", "<query xmlns='"+stanza.NSDiscoInf+"'/>").AppendTo(nil)); !strings.Contains(got, ns) {
			t.Error("not announced")
		}
		list := a.IQ("get", "a.test", all).Payload().Children
		if len(list) != 4 {
			t.Fatalf("%d services", len(list))
		}
		if s := list[0]; s.Attr("type") != "stun" || s.Attr("port") != "3478" || s.Attr("transport") != "udp" || s.Attr("username") != "" || s.Attr("restricted") != "" {
			t.Errorf("%s", s.AppendTo(nil, ""))
		}
		if s := list[3]; s.Attr("username") != "guest" || s.Attr("password") != "guest's" || s.Attr("port") != "" {
			t.Errorf("%s", s.AppendTo(nil, ""))
		}
		u := relay(t, sharedSecret, list[1])
		if relay(t, sharedSecret, list[2]) != u || strings.Contains(u, "alice") {
			t.Errorf("the user is %q", u)
		}
		turn := b.IQ("get", "a.test", "<services xmlns='"+ns+"' type='turn'/>").Payload()
		if len(turn.Children) != 1 || turn.Attr("type") != "turn" || relay(t, sharedSecret, turn.Children[0]) == u {
			t.Errorf("%s", turn.AppendTo(nil, ""))
		}
		creds := a.IQ("get", "a.test", "<credentials xmlns='"+ns+"'><service host='turn.a.test' type='turns'/></credentials>").Payload()
		if len(creds.Children) != 1 || creds.Name != "credentials" || relay(t, sharedSecret, creds.Children[0]) != u {
			t.Errorf("%s", creds.AppendTo(nil, ""))
		}
		for payload, want := range map[string]stanza.Condition{
			"<credentials xmlns='" + ns + "'/>": stanza.BadRequest,
			"<other xmlns='" + ns + "'/>":       stanza.BadRequest,
			"<credentials xmlns='" + ns + "'><service host='turn.a.test' type='turn' port='1'/></credentials>": stanza.ItemNotFound,
			"<credentials xmlns='" + ns + "'><service host='evil.test' type='turn'/></credentials>":            stanza.ItemNotFound,
		} {
			if st := a.IQ("get", "a.test", payload); condition(st) != want {
				t.Errorf("%s: %s", payload, st.AppendTo(nil))
			}
		}
		if st := a.IQ("set", "a.test", all); condition(st) != stanza.BadRequest {
			t.Errorf("a set: %s", st.AppendTo(nil))
		}
		// Z29: strangers get nothing.
		h.Send("<iq type='get' id='q' from='romeo@b.test/x' to='a.test'>" + all + "</iq>")
		if got := h.Sent(); len(got) != 1 || condition(got[0]) != stanza.Forbidden {
			t.Errorf("a stranger got %s", modtest.XML(got))
		}
		if strings.Contains(h.Log(), sharedSecret) {
			t.Error("the log has the secret")
		}
	})
}

func TestKey(t *testing.T) {
	key := filepath.Join(t.TempDir(), "turn")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 40)), 0o600); err != nil {
		t.Fatal(err)
	}
	toml := "[modules.mod_keystore]\nkeys = [{name = \"turn\", type = \"file\", path = '" + key + "'}]\n" +
		"[modules.mod_extdisco]\nturn_secret_key = \"turn\"\nservices = [{type = \"turn\", host = \"t.test\"}]\n"
	h := modtest.NewConfig(t, "a.test", toml, keystore.Info, Info)
	relay(t, strings.Repeat("k", 40), h.Session("alice@a.test/one").IQ("get", "a.test", all).Payload().Children[0])
}

func TestNothing(t *testing.T) {
	h := modtest.New(t, "a.test", disco.Info, Info)
	a := h.Session("alice@a.test/one")
	if st := a.IQ("get", "a.test", all); condition(st) != stanza.ServiceUnavailable {
		t.Errorf("%s", st.AppendTo(nil))
	}
	if got := string(a.IQ("get", "a.test", "<query xmlns='"+stanza.NSDiscoInf+"'/>").AppendTo(nil)); strings.Contains(got, ns) {
		t.Error("announced")
	}
	// Without a secret a relay is told of, and nothing is made up.
	h = modtest.NewConfig(t, "a.test", "[modules.mod_extdisco]\nservices = [{type = \"turn\", host = \"t.test\"}]\n", Info)
	if got := string(h.Session("alice@a.test/one").IQ("get", "a.test", all).AppendTo(nil)); !strings.Contains(got, "<service type='turn' host='t.test'/>") {
		t.Errorf("got %s", got)
	}
}

func TestCheck(t *testing.T) {
	for toml, want := range map[string]string{
		`turn_secret = "short"`:                                              "turn_secret: must have at least 16 characters",
		`turn_ttl = "1s"`:                                                    "turn_ttl: must be at least a minute",
		`services = [{type = "turn"}]`:                                       "host",
		`services = [{type = "turn", host = "t", port = 70000}]`:             "is no port",
		`services = [{type = "turn", host = "t", transport = "smoke"}]`:      `must be "udp" or "tcp", is "smoke"`,
		`services = [{type = "turn", host = "t", password = "p"}]`:           "needs username",
		`turn_secret_key = "none"`:                                           `has no key "none"`,
		"turn_secret = \"" + sharedSecret + "\"\nturn_secret_key = \"none\"": "one of them is enough",
	} {
		_, err := modtest.TryConfig(t, "a.test", "[modules.mod_extdisco]\n"+toml+"\n", keystore.Info, Info)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "short") {
			t.Errorf("%s: %v", toml, err)
		}
	}
}
