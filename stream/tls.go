package stream

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
)

// TLSPolicy is what [tls] says about versions, ciphers and key exchange.
type TLSPolicy struct {
	Profile    string // modern, intermediate or old
	MinVersion uint16
	Suites     []uint16 // for TLS 1.2; TLS 1.3 has its own three, always on
	Curves     []tls.CurveID
}

// The suites of TLS 1.2. Go has no finite-field DHE and chooses among these by itself, client's and server's hardware
// considered, whatever their order.
var (
	suitesAEAD = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	}
	// What RFC 9325 §4.2 advises against, for clients that have nothing better.
	suitesOld = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
	}
)

type curve struct {
	name string
	id   tls.CurveID
}

// curves are the names that an admin may write.
var curves = []curve{
	{"X25519MLKEM768", tls.X25519MLKEM768},
	{"X25519", tls.X25519},
	{"P-256", tls.CurveP256},
	{"P-384", tls.CurveP384},
	{"P-521", tls.CurveP521},
}

// ParseTLSPolicy makes a policy of a profile's name (Mozilla's: modern, intermediate, old) and the names of curves; no
// curves means the profile's own, the first four of X25519MLKEM768, X25519, P-256, P-384, P-521.
func ParseTLSPolicy(profile string, names []string) (TLSPolicy, error) {
	p := TLSPolicy{Profile: profile, MinVersion: tls.VersionTLS12, Suites: suitesAEAD}
	switch profile {
	case "modern":
		p.MinVersion = tls.VersionTLS13
		p.Suites = nil
	case "intermediate":
	case "old":
		p.Suites = slices.Concat(suitesAEAD, suitesOld)
	default:
		return p, fmt.Errorf("unknown TLS profile %q: use modern, intermediate or old", profile)
	}
	for _, name := range names {
		i := slices.IndexFunc(curves, func(c curve) bool { return strings.EqualFold(c.name, name) })
		switch {
		case i < 0:
			return p, fmt.Errorf("unknown curve %q: use X25519MLKEM768, X25519, P-256, P-384 or P-521", name)
		case slices.Contains(p.Curves, curves[i].id):
			return p, fmt.Errorf("curve %q is named twice", name)
		}
		p.Curves = append(p.Curves, curves[i].id)
	}
	if len(names) == 0 {
		for _, c := range curves[:4] {
			p.Curves = append(p.Curves, c.id)
		}
	}
	return p, nil
}

// Config makes the configuration of a server of it, without certificates. alpn is the protocol of direct TLS
// (XEP-0368 §4: xmpp-client, xmpp-server), empty for STARTTLS, where clients send what they like.
func (p TLSPolicy) Config(alpn string) *tls.Config {
	cfg := &tls.Config{
		MinVersion:       p.MinVersion,
		CipherSuites:     p.Suites,
		CurvePreferences: p.Curves,
		// A resumed session hides which certificate was shown, which tls-server-end-point needs, and outlives the revocation
		// of a client's certificate.
		SessionTicketsDisabled: true,
		// Client certificates are asked for, never demanded, and not judged here: any authority may have signed them, or none.
		// ClientCAs stays nil, for a client may keep back what no listed authority signed.
		ClientAuth: tls.RequestClientCert,
		// What is in the outbox goes out in one record. Small first records help browsers only.
		DynamicRecordSizingDisabled: true,
	}
	if alpn != "" {
		cfg.NextProtos = []string{alpn}
	}
	return cfg
}

// TLSOptions are what a configuration for handshakes depends on.
type TLSOptions struct {
	Profile      string   // see ParseTLSPolicy, which has approved it
	Curves       []string // as well
	Certificates *Certificates
	Host         string // of the stream's to, for STARTTLS by clients that name no host (SNI)
	Direct       bool   // direct TLS (XEP-0368): the client may name its protocol
	ALPN         string // with Direct: xmpp-client or xmpp-server
}

// ServerTLS returns the configuration for a handshake. It is the same for the same options, so that connections share it.
// A policy that ParseTLSPolicy refuses counts as intermediate.
func ServerTLS(o TLSOptions) *tls.Config {
	s := o.Certificates
	host := asciiHost(o.Host)
	if s.set.Load().byHost[host] == nil {
		host = "" // so that strangers' inventions fill no table
	}
	if !o.Direct {
		o.ALPN = ""
	}
	key := strings.Join(append([]string{host, o.ALPN, o.Profile}, o.Curves...), " ")
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg := s.configs[key]
	if cfg == nil {
		p, err := ParseTLSPolicy(o.Profile, o.Curves)
		if err != nil {
			p, _ = ParseTLSPolicy("intermediate", nil)
		}
		cfg = p.Config(o.ALPN)
		cfg.GetCertificate = s.GetCertificate(host)
		cfg = noting(cfg)
		s.configs[key] = cfg
	}
	return cfg
}

// TLSVersionName names a version for people.
func TLSVersionName(v uint16) string { return tls.VersionName(v) }

// DescribeProfile says in words what a profile and curves mean, a line for each point, or what is wrong with them.
func DescribeProfile(profile string, curves []string) []string {
	p, err := ParseTLSPolicy(profile, curves)
	if err != nil {
		return []string{err.Error()}
	}
	return p.Describe()
}

// Describe says in words what the policy means, a line for each point.
func (p TLSPolicy) Describe() []string {
	lines := []string{"profile " + p.Profile}
	if p.MinVersion == tls.VersionTLS13 {
		lines = append(lines, "protocol: TLS 1.3 only")
	} else {
		lines = append(lines, "protocol: TLS 1.2 and TLS 1.3")
	}
	lines = append(lines, "TLS 1.3 ciphers: TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256")
	if len(p.Suites) > 0 {
		lines = append(lines, "TLS 1.2 ciphers: "+strings.Join(each(p.Suites, tls.CipherSuiteName), ", "))
	}
	lines = append(lines, "key exchange: "+strings.Join(each(p.Curves, func(id tls.CurveID) string {
		return curves[slices.IndexFunc(curves, func(c curve) bool { return c.id == id })].name
	}), ", "))
	if p.Profile == "old" {
		lines = append(lines, "warning: old allows CBC ciphers and RSA key exchange without forward secrecy (RFC 9325 §4.2 advises against both)")
	}
	return append(lines,
		"no compression, no renegotiation, no session tickets, no early data",
		"client certificates are asked for and judged at login")
}

func each[T any](in []T, name func(T) string) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = name(v)
	}
	return out
}
