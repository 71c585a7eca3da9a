// Package extdisco is mod_extdisco: it tells clients of services outside of XMPP, such as STUN and TURN for calls, with
// credentials that are good for a while (XEP-0215).
//
// # Implementation notes
//
//   - The secret that is shared with a TURN server stands in no log and in no answer. What clients get is made of it as coturn
//     expects with use-auth-secret: a name that begins with the time of its end, and an HMAC of that name.
//   - Only sessions of the host's own accounts are told: a relay is not for everybody.
package extdisco

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stanza"
)

const ns = "urn:xmpp:extdisco:2"

// Config is [modules.mod_extdisco].
type Config struct {
	Services      []Service       `toml:"services" doc:"what clients are told of; empty: nothing"`
	TurnSecret    secret.Text     `toml:"turn_secret" doc:"what is shared with the TURN servers: static-auth-secret of coturn"`
	TurnSecretKey string          `toml:"turn_secret_key" doc:"the same from mod_keystore: the name of a key of type file"`
	TurnTTL       config.Duration `toml:"turn_ttl" doc:"how long credentials made with it are good"`
}

// Service is an entry of Config.Services.
type Service struct {
	Type      string      `toml:"type,required" doc:"stun, stuns, turn, turns, or any other that the XMPP registrar knows"`
	Host      string      `toml:"host,required" doc:"name or address"`
	Port      int         `toml:"port" doc:"0: that of the type"`
	Transport string      `toml:"transport" doc:"udp or tcp"`
	Name      string      `toml:"name" doc:"what people call it"`
	Username  string      `toml:"username" doc:"for all alike; empty: none, or made with the secret"`
	Password  secret.Text `toml:"password" doc:"for all alike"`
}

// relay tells whether the service is one whose credentials are made with the secret.
func (s *Service) relay() bool { return s.Username == "" && (s.Type == "turn" || s.Type == "turns") }

const minSecret = 16

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	for i := range c.Services {
		s, key := &c.Services[i], func(k string) string { return fmt.Sprintf("services[%d].%s", i, k) }
		if s.Port < 0 || s.Port > 65535 {
			errs.Add(key("port"), "is no port")
		}
		if !slices.Contains([]string{"", "udp", "tcp"}, s.Transport) {
			errs.Add(key("transport"), `must be "udp" or "tcp", is %q`, s.Transport)
		}
		if !s.Password.IsZero() && s.Username == "" {
			errs.Add(key("password"), "needs username")
		}
	}
	switch {
	case !c.TurnSecret.IsZero() && c.TurnSecretKey != "":
		errs.Add("turn_secret_key", "is there beside turn_secret: one of them is enough")
	case !c.TurnSecret.IsZero() && len(c.TurnSecret.Reveal()) < minSecret:
		errs.Add("turn_secret", "must have at least %d characters", minSecret)
	}
	if c.TurnTTL < config.Duration(time.Minute) {
		errs.Add("turn_ttl", "must be at least a minute")
	}
}

// checkFile looks for the key that an option names, and at who can read a secret in the file itself.
func checkFile(cfg *config.Config, errs *config.Errors) {
	for _, host := range cfg.General.Hosts {
		n, off := cfg.Module(host, "mod_extdisco")
		own := &config.Errors{}
		c := config.Decode(n, defaults, own)
		if n == nil || off || len(own.List) > 0 {
			continue
		}
		if c.TurnSecretKey != "" && !slices.Contains(keystore.Names(cfg, host), c.TurnSecretKey) {
			errs.AddIn(n, "turn_secret_key", "%s has no key %q in mod_keystore", host, c.TurnSecretKey)
		}
		cfg.WarnOpen(n, "turn_secret")
	}
}

var defaults = Config{Services: []Service{}, TurnTTL: config.Duration(24 * time.Hour)}

// Info describes mod_extdisco.
var Info = modules.Define(modules.Info{
	Name:      "mod_extdisco",
	Summary:   "tells clients of STUN and TURN servers, with credentials for these",
	Default:   true,
	XEPs:      []modules.XEP{{Number: 215, Version: "1.0.0", Note: "no pushes (§3.2): clients ask again when credentials expire"}},
	CheckFile: checkFile,
}, defaults, func(c Config) modules.Module { return &module{cfg: c} })

type module struct {
	cfg  Config
	h    *modules.Host
	keys keystore.Service // nil: no key is asked for
}

// Start implements modules.Module. Without a service there is nothing to tell, and nothing is announced.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	if len(m.cfg.Services) == 0 {
		return nil
	}
	if name := m.cfg.TurnSecretKey; name != "" {
		var err error
		if m.keys, err = modules.Find[keystore.Service](h); err != nil {
			return err
		}
		if _, err := m.keys.GetKey(name); err != nil {
			return fmt.Errorf("key %q: %w", name, err)
		}
	}
	h.IQ(modules.Server, ns, m.query)
	h.Disco(modules.Server, ns)
	return nil
}

// Stop has nothing to do.
func (*module) Stop(context.Context) error { return nil }

// query answers which services there are, and with which credentials (XEP-0215 §3).
func (m *module) query(_ context.Context, q *modules.IQ) ([]byte, error) {
	if q.Origin == nil || q.From.Domain() != m.h.Name {
		return nil, stanza.Err(stanza.Forbidden, "") // XEP-0215 §2
	}
	if q.Set() || q.Payload == nil {
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	var x stanza.XML
	switch q.Payload.Name {
	case "services": // XEP-0215 §3.1, §3.2
		typ := q.Payload.Attr("type")
		x.Start("services", "xmlns", ns, "type", typ)
		for i := range m.cfg.Services {
			if s := &m.cfg.Services[i]; typ == "" || s.Type == typ {
				if err := m.write(&x, s, q.From); err != nil {
					return nil, err
				}
			}
		}
	case "credentials": // XEP-0215 §3.3
		want := q.Payload.Child("", "service")
		if want.Attr("host") == "" || want.Attr("type") == "" {
			return nil, stanza.Err(stanza.BadRequest, "of which service?")
		}
		x.Start("credentials", "xmlns", ns)
		found := false
		for i := range m.cfg.Services {
			s := &m.cfg.Services[i]
			if s.Host != want.Attr("host") || s.Type != want.Attr("type") || want.Attr("port") != "" && want.Attr("port") != strconv.Itoa(s.Port) {
				continue
			}
			found = true
			if err := m.write(&x, s, q.From); err != nil {
				return nil, err
			}
		}
		if !found {
			return nil, stanza.Err(stanza.ItemNotFound, "")
		}
	default:
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	return x.Bytes(), nil
}

// write writes a service with its credentials.
func (m *module) write(x *stanza.XML, s *Service, user stanza.JID) error {
	port := ""
	if s.Port > 0 {
		port = strconv.Itoa(s.Port)
	}
	username, password, expires := s.Username, s.Password.Reveal(), ""
	if s.relay() {
		shared, err := m.shared()
		if err != nil {
			return err
		}
		if shared != nil {
			end := time.Now().Add(time.Duration(m.cfg.TurnTTL)).Truncate(time.Second)
			username, password = m.credentials(shared, user, end)
			expires = end.UTC().Format("2006-01-02T15:04:05Z") // XEP-0082 §3.2
		}
	}
	restricted := ""
	if username != "" {
		restricted = "true"
	}
	x.Empty("service", "type", s.Type, "host", s.Host, "port", port, "transport", s.Transport, "name", s.Name,
		"username", username, "password", password, "expires", expires, "restricted", restricted)
	return nil
}

// shared returns what is shared with the TURN servers, or nil.
func (m *module) shared() ([]byte, error) {
	if m.keys != nil {
		return m.keys.GetKey(m.cfg.TurnSecretKey)
	}
	if m.cfg.TurnSecret.IsZero() {
		return nil, nil
	}
	return []byte(m.cfg.TurnSecret.Reveal()), nil
}

// credentials makes a name and password that a TURN server takes until a time ("A REST API For Access To TURN Services" §2.2).
// The name tells users apart, so that one who wastes traffic can be found, and does not say who they are.
func (m *module) credentials(shared []byte, user stanza.JID, end time.Time) (username, password string) {
	tag := hmac.New(sha256.New, m.h.Secret("names of users at TURN servers"))
	tag.Write([]byte(user.Bare().String()))
	username = strconv.FormatInt(end.Unix(), 10) + ":" + hex.EncodeToString(tag.Sum(nil)[:8])
	mac := hmac.New(sha1.New, shared)
	mac.Write([]byte(username))
	return username, base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
