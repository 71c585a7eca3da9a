package c2s

import (
	"crypto/x509"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// open reads the client's stream header and answers with ours and the features (RFC 6120 §4.2, §4.3). Ours goes out before
// any stream error (RFC 6120 §4.9.1.2).
func (c *client) open() error {
	var h stream.Header
	err := c.sc.ReadHeader(&h)
	var se *stream.Error
	if err != nil && !errors.As(err, &se) {
		if err == os.ErrDeadlineExceeded {
			return errTimeout
		}
		return err
	}
	n := c.n
	n.header = false
	host := h.To.Domain()
	ours := stream.Header{
		ID:      token(),       // RFC 6120 §4.7.3: unpredictable, new for each stream
		To:      h.From.Bare(), // RFC 6120 §4.7.2
		Lang:    "en",          // RFC 6120 §4.7.4
		Version: "1.0",
	}
	if c.srv.o.Router.Table(host) != nil {
		ours.From = h.To.Host() // RFC 6120 §4.7.1
	}
	c.sc.WriteHeader(ours)
	if se == nil {
		se = c.acceptHeader(&h)
	}
	if se != nil {
		return se
	}
	c.lang = h.Lang
	n.conn.Host, n.conn.From = host, h.From.Bare()
	if !c.policy.requireTLS {
		c.until(time.Duration(c.policy.LoginTimeout)) // no handshake need come
	}
	return c.features()
}

// acceptHeader checks what the client says of the two ends of the stream.
func (c *client) acceptHeader(h *stream.Header) *stream.Error {
	n := c.n
	host := h.To.Domain()
	switch {
	case h.Version == "": // RFC 6120 §4.7.5: without it there would be neither features nor SASL
		return &stream.Error{Condition: "unsupported-version", Text: "version 1.0 of XMPP is needed"}
	case h.To.IsZero():
		return &stream.Error{Condition: "improper-addressing", Text: "the stream header needs a to"}
	case h.To.Local() != "" || h.To.Resource() != "":
		return &stream.Error{Condition: "improper-addressing", Text: "the stream's to is the name of a server"}
	case !h.From.IsZero() && h.From.Domain() != host: // XEP-0388 §2.1
		return &stream.Error{Condition: "invalid-from"} // RFC 6120 §4.9.3.9
	case c.srv.o.Router.Table(host) == nil:
		return &stream.Error{Condition: "host-unknown"} // RFC 6120 §4.9.3.6
	case n.conn.Host != "" && host != n.conn.Host:
		// Who was let in at one host is nobody at another.
		return &stream.Error{Condition: "not-authorized", Text: "the stream's to must not change"}
	case c.state&stream.Authenticated != 0 && !h.From.IsZero() && h.From.Bare() != c.ident.JID:
		return &stream.Error{Condition: "invalid-from"} // RFC 6120 §4.9.3.9
	case c.state&stream.Secure != 0 && !c.certified(host):
		return &stream.Error{Condition: "host-unknown", Text: "this connection was made for another host"}
	}
	return nil
}

// certified tells whether the TLS of this connection can stand for the host. A client that asked by SNI for one of our
// hosts and got its certificate must not talk to another in its name. Without SNI, or with a name of DNS that is no host
// of ours, the client has chosen to judge the certificate by itself.
func (c *client) certified(host string) bool {
	cs := c.sc.TLS()
	if cs == nil || cs.ServerName == "" {
		return true
	}
	asked := strings.ToLower(cs.ServerName)
	name := ascii(host)
	if asked == name {
		return true
	}
	ours := false
	for _, h := range c.srv.policy.Load().hosts {
		ours = ours || ascii(h) == asked
	}
	if !ours {
		return true
	}
	leaf, err := x509.ParseCertificate(c.sc.ServerCertificate())
	return err == nil && leaf.VerifyHostname(name) == nil
}

// ascii is a host's name as certificates and SNI have it.
func ascii(host string) string {
	if a, err := idna.Lookup.ToASCII(host); err == nil {
		return a
	}
	return strings.ToLower(host)
}

// features announces what the client may do next (RFC 6120 §4.3.2), and notes which mechanisms and bindings were
// announced (XEP-0474).
func (c *client) features() error {
	t, err := c.table()
	if err != nil {
		return err
	}
	n := c.n
	n.conn.TLS, n.conn.Leaf = c.sc.TLS(), c.sc.ServerCertificate()
	n.conn.Mechanisms, n.conn.Bindings = nil, nil
	if c.state&stream.Authenticated == 0 && (c.state&stream.Secure != 0 || !c.policy.requireTLS) {
		n.conn.Bindings = auth.Bindings(&n.conn) // SCRAM-*-PLUS are offered where there is one
		n.conn.Mechanisms = c.listed(t.Mechanisms)
		if !binds(n.conn.Mechanisms, t.Mechanisms) {
			n.conn.Bindings = nil // XEP-0440 §3: bindings without a mechanism for them look like an attack
		}
	}
	return c.queue(func(dst []byte) []byte { return c.appendFeatures(dst, t, c.state, false) })
}

// appendFeatures appends what may be negotiated in a state of the stream; managed: XEP-0198 is on already.
func (c *client) appendFeatures(dst []byte, t *modules.Table, state stream.State, managed bool) []byte {
	conn := &c.n.conn
	dst = append(dst, "<stream:features>"...)
	if state&(stream.Secure|stream.Authenticated) == 0 && c.tlsConfig() != nil {
		dst = append(dst, "<starttls xmlns='"+stanza.NSTLS+"'>"...)
		if c.policy.requireTLS {
			dst = append(dst, "<required/>"...) // RFC 6120 §5.3.1
		}
		dst = append(dst, "</starttls>"...)
	}
	if state&stream.Authenticated == 0 {
		if state&stream.Secure != 0 { // XEP-0388 §4
			dst = c.appendAuthentication(dst, t)
		}
		dst = appendMechanisms(dst, conn)
	}
	for _, f := range t.Features {
		if state&f.Need == f.Need && state&f.Exclude == 0 {
			dst = f.Append(dst, c.sc)
		}
	}
	if state&(stream.Authenticated|stream.Bound) == stream.Authenticated {
		dst = append(dst, "<bind xmlns='"+stanza.NSBind+"'/>"+ // RFC 6120 §7.4
			"<session xmlns='"+stanza.NSSession+"'><optional/></session>"...)
	}
	if state&stream.Authenticated != 0 {
		if !managed {
			dst = append(dst, "<sm xmlns='"+stanza.NSSM+"'/>"...) // XEP-0198 §2
		}
		dst = append(dst, "<csi xmlns='"+stanza.NSCSI+"'/>"...) // XEP-0352 §4.1
	}
	return append(dst, "</stream:features>"...)
}

// appendMechanisms appends the login mechanisms (RFC 6120 §6.4.1) and, next to them, the channel bindings (XEP-0440 §2).
func appendMechanisms(dst []byte, conn *auth.Conn) []byte {
	if len(conn.Mechanisms) == 0 {
		return dst
	}
	if len(conn.Bindings) > 0 {
		dst = append(dst, "<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>"...)
		for _, b := range conn.Bindings {
			dst = append(append(append(dst, "<channel-binding type='"...), b...), "'/>"...)
		}
		dst = append(dst, "</sasl-channel-binding>"...)
	}
	dst = append(dst, "<mechanisms xmlns='"+stanza.NSSASL+"'>"...)
	for _, m := range conn.Mechanisms {
		dst = append(stanza.AppendEscaped(append(dst, "<mechanism>"...), m), "</mechanism>"...)
	}
	return append(dst, "</mechanisms>"...)
}

// binds tells whether any mechanism uses channel bindings: listed ones say so by name (RFC 5802 §4), those that are not
// listed may (XEP-0484 §3.1).
func binds(listed []string, all []auth.Mechanism) bool {
	return slices.ContainsFunc(listed, func(name string) bool { return strings.HasSuffix(name, "-PLUS") }) ||
		slices.ContainsFunc(all, func(m auth.Mechanism) bool { return m.Unlisted })
}

// listed returns the names of the mechanisms that this connection may use, best first.
func (c *client) listed(all []auth.Mechanism) []string {
	var out []string
	for _, m := range all {
		if !m.Unlisted && c.offers(m) {
			out = append(out, m.Name)
		}
	}
	return out
}

// offers tells whether this connection may use a mechanism.
func (c *client) offers(m auth.Mechanism) bool {
	conn := &c.n.conn
	if c.state&stream.Secure == 0 {
		if c.policy.requireTLS {
			return false
		}
		if m.Name == "PLAIN" { // RFC 6120 §13.8.3; the admin may know better
			return c.policy.clearPlain
		}
	}
	if m.Offer == nil {
		return c.state&stream.Secure != 0
	}
	return m.Offer(conn)
}
