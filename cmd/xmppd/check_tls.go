package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/s2s"
	"github.com/xmppd/xmppd/stream"
)

// checkTLS says what the server would show to whoever connects.
func checkTLS(cfg *config.Config) []finding {
	out := []finding{}
	for _, l := range stream.DescribeProfile(cfg.TLS.Profile, cfg.TLS.Curves) {
		out = append(out, finding{"tls", true, l})
	}
	if err := checkDHParam(cfg); err != nil {
		out = append(out, finding{"tls", false, err.Error()})
	} else if cfg.TLS.DHParam != "" {
		out = append(out, finding{"tls", true, "tls.dhparam is a sound safe prime; Go offers no finite-field DHE (RFC 9325 §4.1), so no connection uses it"})
	}
	if _, err := verifierOf(cfg); err != nil {
		out = append(out, finding{"tls", false, "tls.trusted_ca_file: " + err.Error()})
	}
	o := certOptions(cfg, nil)
	for _, host := range cfg.General.Hosts {
		leaf, file, err := stream.FindCertificate(o, host)
		switch {
		case errors.Is(err, os.ErrNotExist) && cfg.TLS.SelfSigned:
			out = append(out, finding{"tls", true, fmt.Sprintf("%s has no certificate in %s; the server makes a self-signed one at its start, which nobody trusts by itself", host, o.Dir)})
		case err != nil:
			out = append(out, finding{"tls", false, err.Error()})
		default:
			out = append(out, describeLeaf(host, file, leaf))
		}
	}
	return append(out, checkServicesTLS(o)...)
}

func describeLeaf(host, file string, leaf *x509.Certificate) finding {
	left := time.Until(leaf.NotAfter)
	text := fmt.Sprintf("%s: %s: names %s; %s key; valid until %s (%d days); issued by %s", host, file, strings.Join(leaf.DNSNames, ", "),
		leaf.PublicKeyAlgorithm, leaf.NotAfter.UTC().Format("2006-01-02"), int(left.Hours()/24), issuer(leaf))
	if left < 14*24*time.Hour {
		text += "; renew it"
	}
	return finding{"tls", left > 0, text}
}

func issuer(leaf *x509.Certificate) string {
	if leaf.Issuer.String() == leaf.Subject.String() {
		return "itself (self-signed: clients must be given the file, other servers do not accept it)"
	}
	return leaf.Issuer.String()
}

// verifierOf returns who judges certificates of other servers.
func verifierOf(cfg *config.Config) (*s2s.Verifier, error) {
	return s2s.NewVerifier(s2s.VerifierOptions{RootsFile: cfg.Resolve(cfg.TLS.TrustedCAFile)})
}

// checkFederation says what another server, one that trusts whom we trust, makes of each host's certificate, and of those that
// services have of their own.
func checkFederation(cfg *config.Config, o stream.CertOptions) []finding {
	if !federates(cfg) {
		return nil // hardly anybody will see it
	}
	v, err := verifierOf(cfg)
	if err != nil {
		return nil // said already
	}
	out := []finding{}
	for _, host := range cfg.General.Hosts {
		chain, _, err := stream.FindChain(o, host)
		if err != nil {
			continue // as well
		}
		out = append(out, judgeChain(v, host, chain))
	}
	for _, sv := range o.Services {
		// What is to be said of the host's is said, and so is what the server makes.
		if c, err := stream.FindService(o, sv); err == nil && c.Own && !c.Generated {
			out = append(out, judgeChain(v, sv.Domain, c.Chain))
		}
	}
	return out
}

// judgeChain says what another server makes of what a domain shows.
func judgeChain(v *s2s.Verifier, domain string, chain []*x509.Certificate) finding {
	var bad *s2s.CertError
	switch err := v.CheckChain(chain, domain); {
	case err == nil:
		return finding{"tls", true, fmt.Sprintf("%s: other servers can verify it: the name is right, and the chain (%d in the file) leads to an authority that is trusted here", domain, len(chain))}
	case !errors.As(err, &bad):
		return finding{"tls", false, domain + ": " + err.Error()}
	case bad.Kind == s2s.SelfSigned:
		return finding{"tls", true, fmt.Sprintf(
			"%s: note: other servers see that it is self-signed: those that want valid certificates (secure_auth, as most do) refuse this host", domain)}
	default:
		return finding{"tls", false, fmt.Sprintf("%s: other servers refuse it: the certificate %s; %s", domain, bad.Reason, remedy(bad, chain))}
	}
}

// remedy says what to do about a certificate that others refuse.
func remedy(bad *s2s.CertError, chain []*x509.Certificate) string {
	switch {
	case bad.Kind == s2s.UnknownAuthority && len(chain) == 1:
		return "the file must hold the intermediate certificates as well (fullchain.pem), or the authority is a private one: name it in tls.trusted_ca_file, here and there"
	case bad.Kind == s2s.UnknownAuthority:
		return "if the authority is a private one, name it in tls.trusted_ca_file, here and there"
	case bad.Kind == s2s.WrongUse:
		return "it takes one for TLS servers (serverAuth)"
	}
	return "it takes another certificate"
}
