// Package authtoken lets clients in with tokens instead of a password: those that this server gives out itself, and those
// that an application signs which shares a key with it. There are two families, each with a SASL mechanism.
//
//   - X-OAUTH: access, refresh and provision tokens in MongooseIM's format (token.go, oauth.go). A client gets access and
//     refresh tokens by IQ (query.go); provision tokens are signed elsewhere.
//   - X-TOKEN: a one-time password of the minute and a signature, in the format of Prosody's community module (xtoken.go).
//
// # Implementation notes
//
//   - A MAC is computed over the bytes that arrived; what they say is read when it has proved right. Two spellings of the same
//     thing are two tokens, and one of them has no MAC.
//   - A token's type is part of what is signed, and so is the host: no key makes one kind or host pass for another.
//   - All that is valid for an account carries the account's generation, a number that only rises and outlives the account
//     (record.go). A new one voids all that came before: refresh tokens, which name it, access tokens by their date of expiry,
//     which are kept below a mark, and provision tokens, which belong to the generation that saw them first.
//   - The generation is read in the transaction that decides. Between that and the session that follows it is asked once more,
//     when the session can be found (Hooks.SessionOpened).
//   - A changed password, seen by its date, voids a generation also where nobody told this module.
package authtoken

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stream"
)

// The keys that this module asks mod_keystore for.
const (
	keyTokens    = "token_secret"         // signs access and refresh tokens
	keyProvision = "provision_pre_shared" // signs provision tokens, elsewhere
)

// Config is [modules.mod_auth_token].
type Config struct {
	Validity                ValidityPeriods `toml:"validity_period"`
	ProvisionCreatesAccount bool            `toml:"provision_creates_account" doc:"a provision token for a user that does not exist makes the account"`
	OTPSeed                 secret.Text     `toml:"otp_seed" doc:"base32; with token_secret: the X-TOKEN mechanism"`
	OTPSeedKey              string          `toml:"otp_seed_key" doc:"the key of mod_keystore that is the seed, its bytes as they are; instead of otp_seed"`
	TokenSecret             secret.Text     `toml:"token_secret" doc:"signs the tokens of X-TOKEN"`
	TokenSecretKey          string          `toml:"token_secret_key" doc:"the key of mod_keystore that is the secret; instead of token_secret"`
	NonceLength             int             `toml:"nonce_length" doc:"digits of the nonce in a token of X-TOKEN, exactly"`
	RequireAccount          bool            `toml:"require_account" doc:"X-TOKEN logs in existing accounts only; false is the same as auto_accounts = true"`
	AutoAccounts            bool            `toml:"auto_accounts" doc:"X-TOKEN makes the account at its first login"`
}

// ValidityPeriods says how long tokens are valid.
type ValidityPeriods struct {
	Access  Validity `toml:"access"`
	Refresh Validity `toml:"refresh"`
}

// Validity is a time span in MongooseIM's form.
type Validity struct {
	Value int    `toml:"value,required" doc:"how many"`
	Unit  string `toml:"unit,required" doc:"days, hours, minutes or seconds"`
}

// units are the units of a Validity, in seconds.
var units = map[string]int{"days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}

// seconds is the span, once it has been checked.
func (v Validity) seconds() uint64 { return uint64(v.Value) * uint64(units[v.Unit]) }

// maxValidity bounds a span: a hundred years.
const maxValidity = 36525 * 86400

// The sizes of X-TOKEN's secrets.
const (
	minSeed   = 10 // bytes; what pyotp.random_base32() made for years
	minSecret = 32
	minNonce  = 8
	maxNonce  = 64
)

// Check checks what the types do not say. What is wrong with a secret is said without it.
func (c *Config) Check(errs *config.Errors) {
	for _, p := range []struct {
		key string
		Validity
	}{{"validity_period.access", c.Validity.Access}, {"validity_period.refresh", c.Validity.Refresh}} {
		unit, known := units[p.Unit]
		switch {
		case p.Value < 0:
			errs.Add(p.key+".value", "must not be negative, is %d", p.Value)
		case known && p.Value > maxValidity/unit:
			errs.Add(p.key+".value", "must be at most %d %s, is %d", maxValidity/unit, p.Unit, p.Value)
		}
		if !known && p.Unit != "" { // "": required, so that is said already
			errs.Add(p.key+".unit", `must be "days", "hours", "minutes" or "seconds", is %q`, p.Unit)
		}
	}
	if seed, err := decodeSeed(c.OTPSeed); !c.OTPSeed.IsZero() && (err != nil || len(seed) < minSeed) {
		errs.Add("otp_seed", "must be base32 of at least %d bytes", minSeed)
	}
	if !c.TokenSecret.IsZero() && len(c.TokenSecret.Reveal()) < minSecret {
		errs.Add("token_secret", "must have at least %d characters", minSecret)
	}
	if !c.OTPSeed.IsZero() && c.OTPSeedKey != "" {
		errs.Add("otp_seed_key", "is there beside otp_seed: one of them is enough")
	}
	if !c.TokenSecret.IsZero() && c.TokenSecretKey != "" {
		errs.Add("token_secret_key", "is there beside token_secret: one of them is enough")
	}
	switch seed, signs := !c.OTPSeed.IsZero() || c.OTPSeedKey != "", !c.TokenSecret.IsZero() || c.TokenSecretKey != ""; {
	case seed && !signs:
		errs.Add(named("otp_seed", c.OTPSeed), "needs token_secret")
	case signs && !seed:
		errs.Add(named("token_secret", c.TokenSecret), "needs otp_seed")
	}
	if c.NonceLength < minNonce || c.NonceLength > maxNonce {
		errs.Add("nonce_length", "must be from %d to %d, is %d", minNonce, maxNonce, c.NonceLength)
	}
}

// checkFile looks for the keys that the options name, so that one that is not there is told with its line, before a start; and
// at who can read the secrets that stand in the file itself.
func checkFile(cfg *config.Config, errs *config.Errors) {
	for _, host := range cfg.General.Hosts {
		n, off := cfg.Module(host, "mod_auth_token")
		own := &config.Errors{}
		c := config.Decode(n, defaults, own)
		if n == nil || off || len(own.List) > 0 {
			continue
		}
		for _, o := range []struct{ option, key string }{{"otp_seed_key", c.OTPSeedKey}, {"token_secret_key", c.TokenSecretKey}} {
			if o.key != "" && !slices.Contains(keystore.Names(cfg, host), o.key) {
				errs.AddIn(n, o.option, "%s has no key %q in mod_keystore", host, o.key)
			}
		}
		cfg.WarnOpen(n, "otp_seed", "token_secret")
	}
}

// named is the option in which a secret stands: itself, or the one for the name of a key.
func named(option string, inline secret.Text) string {
	if inline.IsZero() {
		return option + "_key"
	}
	return option
}

// decodeSeed reads base32 as authenticators write it, in either case and with padding or without.
func decodeSeed(text secret.Text) ([]byte, error) {
	return base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.TrimRight(text.Reveal(), "=")))
}

var defaults = Config{
	Validity:       ValidityPeriods{Access: Validity{1, "hours"}, Refresh: Validity{25, "days"}},
	NonceLength:    32,
	RequireAccount: true,
}

// Info describes mod_auth_token.
var Info = define(time.Now)

// define is Info with a clock.
func define(wall func() time.Time) modules.Info {
	return modules.Define(modules.Info{
		Name:    "mod_auth_token",
		Summary: "logs in with tokens: X-OAUTH and X-TOKEN",
		RFCs:    []string{"RFC 6238"},

		CheckFile: checkFile,
	}, defaults, func(c Config) modules.Module { return &module{cfg: c, clock: clock{wall: wall}} })
}

type module struct {
	cfg    Config
	h      *modules.Host
	keys   keystore.Service // nil: mod_keystore is off
	xtoken *xtoken          // nil: not configured
	clock  clock
	sweep  modules.Sweeper
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) (err error) {
	m.h = h
	if keys, err := modules.Find[keystore.Service](h); err == nil {
		m.keys = keys
	}
	if m.xtoken, err = m.newXToken(); err != nil {
		return err
	}
	oauth := m.hasKey(keyTokens)
	if oauth {
		h.Disco(modules.Server, ns)
	}
	if m.keys != nil { // a reload may bring the key
		h.SASL(auth.Mechanism{Name: "X-OAUTH", Weight: 50, Offer: m.offerOAuth, Server: m.oauth})
		h.IQ(modules.Account, ns, m.query)
		h.Hooks.ToBare.On(modules.Check, m.foreign)
	}
	if m.xtoken != nil {
		h.SASL(auth.Mechanism{Name: "X-TOKEN", Weight: 40, Offer: m.offerXToken, Server: m.xtokenServer})
	}
	if !oauth && m.xtoken == nil {
		h.Log.Warn("nobody can log in with a token: mod_keystore has no key token_secret (for X-OAUTH), and neither otp_seed nor token_secret are set here (for X-TOKEN)")
	}
	h.Hooks.PasswordChanged.On(modules.Keep, m.changed("password changed"))
	h.Hooks.UserDisabled.On(modules.Keep, m.changed("account disabled"))
	h.Hooks.UserDeleted.On(modules.Keep, m.changed("account deleted"))
	h.Hooks.SessionOpened.On(modules.Check, m.guard)
	h.Hooks.SessionResumed.On(modules.Check, m.guard)
	modules.Provide[modules.Credentials](h, provider{m})
	modules.Provide[Service](h, m)
	m.sweep.Start(sweepEvery, m.sweepUsed)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error {
	m.sweep.Stop()
	return nil
}

func (m *module) hasKey(name string) bool {
	if m.keys == nil {
		return false
	}
	_, err := m.keys.GetKey(name)
	return err == nil
}

// offerOAuth tells whether X-OAUTH is for a connection: no token travels in clear.
func (m *module) offerOAuth(c *auth.Conn) bool { return c.TLS != nil && m.hasKey(keyTokens) }

func (m *module) offerXToken(c *auth.Conn) bool { return c.TLS != nil }

// Why a token does not let anybody in, for the log. The client hears not-authorized.
var (
	errSyntax   = errors.New("auth_token: this is no token")
	errMAC      = errors.New("auth_token: the signature is wrong")
	errHost     = errors.New("auth_token: the token is of another host or of nobody")
	errRevoked  = errors.New("auth_token: the token was revoked")
	errExpired  = errors.New("auth_token: the token has expired")
	errVCard    = errors.New("auth_token: the token's vCard is none")
	errOTP      = errors.New("auth_token: the one-time password is not of this time")
	errReplay   = errors.New("auth_token: the token was used before")
	errNobody   = errors.New("auth_token: there is no such account")
	errKeptName = errors.New("auth_token: the account is not made, its name was somebody else's not long ago")
)

func refused(cause error) error { return &auth.Failure{Condition: auth.NotAuthorized, Cause: cause} }

// verdict makes the answer of what was found out about a token that is signed.
func verdict(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errExpired): // RFC 6120 §6.5.3: the client gets itself another one
		return &auth.Failure{Condition: auth.CredentialsExpired, Cause: err}
	case errors.Is(err, auth.ErrDisabled):
		return &auth.Failure{Condition: auth.AccountDisabled} // RFC 6120 §6.5.2
	}
	for _, known := range []error{errRevoked, errReplay, errNobody, errKeptName, auth.ErrPolicy} {
		if errors.Is(err, known) {
			return refused(err)
		}
	}
	return err
}

// gone is what sessions hear that end because a token did.
var gone = &stream.Error{Condition: "not-authorized", Text: "Tokens revoked"}

// newXToken reads the secrets of X-TOKEN, or returns nil where there are none.
func (m *module) newXToken() (*xtoken, error) {
	if m.cfg.OTPSeed.IsZero() && m.cfg.OTPSeedKey == "" {
		return nil, nil
	}
	seed, err := decodeSeed(m.cfg.OTPSeed)
	if err != nil {
		return nil, errors.New("otp_seed is not base32")
	}
	x := &xtoken{nonce: m.cfg.NonceLength}
	if x.seed, err = m.secret("otp_seed_key", seed, m.cfg.OTPSeedKey); err != nil {
		return nil, err
	}
	if x.secret, err = m.secret("token_secret_key", []byte(m.cfg.TokenSecret.Reveal()), m.cfg.TokenSecretKey); err != nil {
		return nil, err
	}
	return x, nil
}

// secret returns where a secret of X-TOKEN is had from each time it is needed: the configuration, or a key of mod_keystore.
func (m *module) secret(option string, inline []byte, key string) (func() ([][]byte, error), error) {
	if key == "" {
		return func() ([][]byte, error) { return [][]byte{inline}, nil }, nil
	}
	if m.keys == nil {
		return nil, fmt.Errorf("%s names a key, and mod_keystore is off here", option)
	}
	if _, err := m.keys.GetKey(key); err != nil {
		return nil, fmt.Errorf("%s: mod_keystore: %w", option, err)
	}
	return func() ([][]byte, error) {
		k, err := m.keys.Keys(key)
		return k.Each(), err
	}, nil
}
