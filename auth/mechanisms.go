package auth

import (
	"slices"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// Mechanisms returns PLAIN and SCRAM-SHA-1, -256, -512, each with and without -PLUS, over a host's accounts.
func (a *Accounts) Mechanisms(host string) []Mechanism {
	u := a.host(host)
	ms := []Mechanism{{
		Name:   "PLAIN",
		Weight: 100,
		Offer:  func(c *Conn) bool { return c.TLS != nil }, // RFC 6120 §13.8.3
		Server: u.plain,
	}}
	for i, hash := range allHashes {
		for _, plus := range []bool{false, true} {
			s := &scram{users: u, hash: hash, plus: plus}
			m := Mechanism{Name: s.name(), Weight: 200 + 10*i, Offer: s.offer, Server: s.server}
			if plus {
				m.Weight += 100
			}
			ms = append(ms, m)
		}
	}
	return ms
}

// identify tells who an attempt is about: the account that the credentials are of, which has to be the one to act as too.
func (u *users) identify(x *Exchange, mechanism, authcid, authzid string) (stanza.JID, error) {
	local := authcid
	if i := strings.LastIndexByte(authcid, '@'); i >= 0 {
		// COMPAT: some clients send the bare JID, where RFC 6120 §6.3.7 has the localpart.
		local = authcid[:i]
		if d, err := stanza.NewJID("", authcid[i+1:], ""); err != nil || d.Domain() != u.host {
			return stanza.JID{}, &Failure{Condition: NotAuthorized}
		}
	}
	j, err := stanza.NewJID(local, u.host, "")
	if err != nil || j.Local() == "" {
		return stanza.JID{}, malformed("no such user name is possible")
	}
	if err := x.Identify(Identity{JID: j, Mechanism: mechanism}); err != nil {
		return j, err
	}
	if authzid != "" { // RFC 6120 §6.3.8: nobody acts as somebody else here
		if z, err := stanza.ParseJID(authzid); err != nil || z != j {
			return j, &Failure{Condition: InvalidAuthzid}
		}
	}
	return j, nil
}

// offers tells whether a host's passwords are stored for a hash nowadays.
func (a *Accounts) offers(hash string) bool { return slices.Contains(a.options.Load().hashes, hash) }
