package clientcerts

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Login is the Details of an auth.Identity that logged in with a certificate.
type Login struct {
	Fingerprint string // SHA-256 of the DER, in hex
	print       fingerprint
	uploaded    bool // else an authority vouches for it
}

// Credentials implements modules.CredentialUser.
func (l *Login) Credentials() []string { return []string{modules.CredentialRef(Kind, l.Fingerprint)} }

// presented is the certificate that a client showed in the handshake.
type presented struct {
	leaf  *x509.Certificate
	shown []*x509.Certificate // the others
	print fingerprint
	names []stanza.JID // by id-on-xmppAddr
	now   time.Time
}

// shown returns what the client showed, or nil where it showed nothing that can be used.
func shown(c *auth.Conn) *presented {
	if c.TLS == nil || len(c.TLS.PeerCertificates) == 0 {
		return nil
	}
	p := &presented{leaf: c.TLS.PeerCertificates[0], shown: c.TLS.PeerCertificates[1:], now: time.Now()}
	p.print = sha256.Sum256(p.leaf.Raw)
	var err error
	if p.names, err = addresses(p.leaf); err != nil {
		return nil
	}
	return p
}

// offer tells whether the certificate that a client showed could let it into an account of the host now (XEP-0178 §2).
func (m *module) offer(c *auth.Conn) bool {
	p := shown(c)
	if p == nil || !current(p.leaf, p.now) {
		return false
	}
	ok, err := m.couldLogin(context.Background(), p)
	if err != nil {
		m.h.Log.Error("certificate not looked up", "err", err)
	}
	return ok
}

func (m *module) couldLogin(ctx context.Context, p *presented) (bool, error) {
	if len(p.names) == 0 {
		if m.cfg.RequireXMPPAddr {
			return false, nil
		}
		owned, err := m.owned(ctx, p.print)
		return owned && (!m.cfg.RequireTrustedCA || m.vouched(p)), err
	}
	asked := map[string]bool{}
	for _, j := range p.names {
		if j.Local() == "" || j.Domain() != m.h.Name || asked[j.Local()] {
			continue
		}
		asked[j.Local()] = true
		if ok, _, err := m.admits(ctx, j.Local(), p); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// external is the server side of EXTERNAL (RFC 4422 appendix A): one message, the authzid.
func (m *module) external(x *auth.Exchange) sasl.Mechanism {
	return sasl.Mechanism{Name: "EXTERNAL", Next: func(_ *sasl.Negotiator, in []byte, _ any) (bool, []byte, any, error) {
		return false, nil, nil, m.step(x, string(in))
	}}
}

// step decides a login. What is wrong with the certificate itself comes first, then whose it is, then whether it is that
// account's; that the account is disabled is only told, by who called, to one whose certificate is right.
func (m *module) step(x *auth.Exchange, authzid string) error {
	p := shown(x.Conn)
	if p == nil {
		return &auth.Failure{Condition: auth.NotAuthorized}
	}
	if !current(p.leaf, p.now) { // XEP-0257 §3
		return &auth.Failure{Condition: auth.CredentialsExpired}
	}
	j, err := m.choose(x.Context(), p, x.Conn, authzid)
	if err != nil {
		return err
	}
	login := &Login{Fingerprint: (&certificate{print: p.print}).id(), print: p.print}
	err = x.Identify(auth.Identity{JID: j.Bare(), Mechanism: "EXTERNAL", Resource: j.Resource(), Details: login})
	if err != nil {
		return err
	}
	ok, uploaded, err := m.admits(x.Context(), j.Local(), p)
	switch {
	case err != nil:
		return err
	case !ok:
		return &auth.Failure{Condition: auth.NotAuthorized}
	}
	login.uploaded = uploaded
	return nil
}

// choose says as whom a client logs in (XEP-0178 §2, step 11). The result is a full JID where the certificate names one
// only: then that resource is the client's, and no other (XEP-0257 §3).
func (m *module) choose(ctx context.Context, p *presented, c *auth.Conn, authzid string) (j stanza.JID, err error) {
	invalid := &auth.Failure{Condition: auth.InvalidAuthzid}
	var z stanza.JID
	if authzid != "" {
		if z, err = stanza.ParseJID(authzid); err != nil || z.Local() == "" || z.Domain() != m.h.Name {
			return j, invalid
		}
	}
	if len(p.names) == 0 {
		return m.unnamed(ctx, p, c, z)
	}
	want := z
	if z.IsZero() {
		if want = chosen(p.names, c.From); want.IsZero() {
			return j, invalid
		}
	}
	if j = match(p.names, want); j.IsZero() {
		return j, invalid
	}
	if j.Local() == "" || j.Domain() != m.h.Name {
		return stanza.JID{}, &auth.Failure{Condition: auth.NotAuthorized}
	}
	return j, nil
}

// chosen says whom a client means that sends no authzid: the one account that its certificate names, or that of several
// which it named in its stream header. Zero: that is not to be seen.
func chosen(names []stanza.JID, from stanza.JID) stanza.JID {
	only := !slices.ContainsFunc(names, func(n stanza.JID) bool { return n.Bare() != names[0].Bare() })
	want := from.Bare()
	if only {
		want = names[0].Bare()
	}
	if match(names, want).IsZero() && slices.Contains(names, from) {
		return from // of several resources one
	}
	return want
}

// match returns the name in a certificate that covers an address: itself, or its bare JID, or, for a bare one, the only full
// one of it. Zero: none does.
func match(names []stanza.JID, want stanza.JID) (j stanza.JID) {
	if slices.Contains(names, want) {
		return want
	}
	if slices.Contains(names, want.Bare()) {
		return want.Bare()
	}
	if !want.IsBare() {
		return j
	}
	for _, n := range names {
		if n.Bare() != want {
			continue
		}
		if !j.IsZero() {
			return stanza.JID{} // which of its resources?
		}
		j = n
	}
	return j
}

// unnamed says as whom a client with a certificate that names nobody logs in: as who it says that it is, if that account has
// the certificate.
func (m *module) unnamed(ctx context.Context, p *presented, c *auth.Conn, z stanza.JID) (j stanza.JID, err error) {
	refused := &auth.Failure{Condition: auth.NotAuthorized}
	if m.cfg.RequireXMPPAddr {
		return j, refused
	}
	if z.IsZero() {
		if z = c.From.Bare(); z.Local() == "" || z.Domain() != m.h.Name {
			return j, refused
		}
	} else {
		refused = &auth.Failure{Condition: auth.InvalidAuthzid} // XEP-0178 §2: mapped to others, not to this one
	}
	mine, err := m.get(ctx, z.Local(), p.print)
	if err != nil {
		return j, err
	}
	if mine == nil || mine.Disabled {
		return j, refused
	}
	return z.Bare(), nil
}

// admits tells whether a certificate lets a client into an account: because its owner uploaded it, or because an authority
// vouches for it.
func (m *module) admits(ctx context.Context, local string, p *presented) (ok, uploaded bool, err error) {
	c, err := m.get(ctx, local, p.print)
	switch {
	case err != nil:
		return false, false, err
	case c != nil && c.Disabled:
		return false, false, nil
	case c != nil:
		return !m.cfg.RequireTrustedCA || m.vouched(p), true, nil
	}
	// XEP-0178 §2. Common names and the like are nobody's name here.
	return m.cfg.ExternalWithoutUpload && len(p.names) > 0 && strong(p.leaf) == nil && m.vouched(p), false, nil
}

// vouched tells whether an authority vouches for a certificate.
func (m *module) vouched(p *presented) bool { return m.ca.verify(p.leaf, p.shown, p.now) == nil }
