package config

import (
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
)

// Planned lists the sections of modules that this version does not have. They are read and checked, so that a file that
// is written for them loads, and a warning says that they have no effect. A module of the same name replaces its entry here.
func Planned() []Section {
	return []Section{
		planned("mod_keystore", Keystore{RAMKeySize: 2048, Keys: []KeystoreKey{}}),
		planned("mod_auth_token", AuthToken{
			Validity:       ValidityPeriods{Access: Validity{1, "hours"}, Refresh: Validity{25, "days"}},
			RequireAccount: true,
		}),
	}
}

func planned[C any](name string, defaults C) Section {
	return Section{Name: name, Defaults: defaults, Check: func(n *Node, errs *Errors) { Decode(n, defaults, errs) }}
}

// withPlanned adds the planned sections that are not there yet.
func withPlanned(modules []Section) []Section {
	all := slices.Clone(modules)
	for _, p := range Planned() {
		if find(modules, p.Name) == nil {
			all = append(all, p)
		}
	}
	return all
}

// warnPlanned says that a section has no effect.
func (c *Config) warnPlanned(s Section, n *Node) {
	switch s.Defaults.(type) {
	case Keystore, AuthToken:
		c.warn(n, "recognised, but not available in this version: the section has no effect")
	}
}

// Keystore is [modules.mod_keystore].
type Keystore struct {
	RAMKeySize int           `toml:"ram_key_size" doc:"bytes of a key of type ram"`
	Keys       []KeystoreKey `toml:"keys" doc:"the keys of the host"`
}

// KeystoreKey is an entry of keys.
type KeystoreKey struct {
	Name   string `toml:"name,required" doc:"what modules ask for: token_secret, provision_pre_shared"`
	Type   string `toml:"type,required" doc:"ram (made at start, never written) or file"`
	Path   string `toml:"path" doc:"of type file: the file with the key's bytes"`
	Shared bool   `toml:"shared" doc:"of type file: several hosts may have the same"`
}

// Check checks what the types do not say.
func (k *Keystore) Check(errs *Errors) {
	if k.RAMKeySize < 32 {
		errs.Add("ram_key_size", "must be at least 32 bytes, is %d", k.RAMKeySize)
	}
	seen := map[string]int{}
	for i, key := range k.Keys {
		at := indexed("keys", i)
		if first, there := seen[key.Name]; there && key.Name != "" {
			errs.Add(at+".name", "%q is the name of keys[%d] already", key.Name, first)
		}
		seen[key.Name] = i
		switch key.Type {
		case "ram", "":
		case "file":
			if key.Path == "" {
				errs.Add(at+".path", "is missing: a key of type file needs one")
			}
		default:
			oneOf(errs, at+".type", key.Type, []string{"ram", "file"})
		}
	}
}

// AuthToken is [modules.mod_auth_token].
type AuthToken struct {
	Validity                ValidityPeriods `toml:"validity_period"`
	ProvisionCreatesAccount bool            `toml:"provision_creates_account" doc:"a provision token for a user that does not exist makes the account"`
	OTPSeed                 string          `toml:"otp_seed" secret:"true" doc:"base32; with token_secret: the X-TOKEN mechanism"`
	TokenSecret             string          `toml:"token_secret" secret:"true" doc:"signs the tokens of X-TOKEN"`
	RequireAccount          bool            `toml:"require_account" doc:"X-TOKEN logs in existing accounts only"`
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

// Check checks what the types do not say.
func (a *AuthToken) Check(errs *Errors) {
	for _, p := range []struct {
		key string
		Validity
	}{{"validity_period.access", a.Validity.Access}, {"validity_period.refresh", a.Validity.Refresh}} {
		if p.Value < 0 {
			errs.Add(p.key+".value", "must not be negative, is %d", p.Value)
		}
		oneOf(errs, p.key+".unit", p.Unit, []string{"days", "hours", "minutes", "seconds"})
	}
	// What is wrong with a secret is said without it.
	if seed, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.TrimRight(a.OTPSeed, "=")); a.OTPSeed != "" && (err != nil || len(seed) < 10) {
		errs.Add("otp_seed", "must be base32 of at least 10 bytes")
	}
	if a.TokenSecret != "" && len(a.TokenSecret) < 32 {
		errs.Add("token_secret", "must have at least 32 characters")
	}
	if a.OTPSeed != "" && a.TokenSecret == "" {
		errs.Add("otp_seed", "needs token_secret")
	}
	if a.TokenSecret != "" && a.OTPSeed == "" {
		errs.Add("token_secret", "needs otp_seed")
	}
}

// indexed writes the path of an element of a list.
func indexed(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }
