package s2s

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// VerifierOptions say whom to believe.
type VerifierOptions struct {
	// RootsFile is a PEM file of the authorities that may vouch for other servers; empty: those that the system trusts.
	RootsFile string
	// Roots are these authorities where they are at hand; nil: as RootsFile says.
	Roots *x509.CertPool
	// Now is the clock; nil: the system's.
	Now func() time.Time
}

// Verifier judges certificates of other servers, chain and name, for both roles: who connects shows his certificate as a
// client of TLS, who is connected to as a server. It judges after the handshake, so that a certificate that does not hold
// leaves dialback possible, and so that the peer can be told in its stream what is wrong.
type Verifier struct {
	roots *x509.CertPool // nil: the system's
	now   func() time.Time
}

// NewVerifier reads the authorities.
func NewVerifier(o VerifierOptions) (*Verifier, error) {
	v := &Verifier{roots: o.Roots, now: o.Now}
	if v.now == nil {
		v.now = time.Now
	}
	if o.RootsFile == "" || v.roots != nil {
		return v, nil
	}
	pem, err := os.ReadFile(o.RootsFile)
	if err != nil {
		return nil, err
	}
	v.roots = x509.NewCertPool()
	if !v.roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: there is no certificate of an authority in it (PEM)", o.RootsFile)
	}
	return v, nil
}

// CertKind is what is wrong with a certificate.
type CertKind int

const (
	NoCertificate CertKind = iota + 1
	Expired
	NotYetValid
	SelfSigned
	UnknownAuthority
	WrongUse  // for neither servers nor clients of TLS, or signed by what is no authority
	WrongName // valid, for somebody else
	Broken    // cannot be judged at all
)

// CertError says why a certificate proves nothing for a domain.
type CertError struct {
	Domain string
	Kind   CertKind
	Reason string // in words that complete "the certificate …"
}

func (e *CertError) Error() string { return "the certificate of " + e.Domain + " " + e.Reason }

// maxChain is how many certificates of a peer are looked at.
const maxChain = 16

// Check tells whether a handshake proved a domain: the certificate's chain leads to an authority, it was made for TLS, and
// one of its names is the domain's. The error is a *CertError.
func (v *Verifier) Check(cs *tls.ConnectionState, domain string) error {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return &CertError{domain, NoCertificate, "was not shown"}
	}
	return v.CheckChain(cs.PeerCertificates, domain)
}

// CheckChain is Check for a certificate and those sent with it.
func (v *Verifier) CheckChain(certs []*x509.Certificate, domain string) error {
	leaf := understood(certs[0])
	o := x509.VerifyOptions{
		Roots:         v.roots,
		Intermediates: x509.NewCertPool(),
		CurrentTime:   v.now(),
		// XEP-0178 §3 knows servers as clients; public authorities no longer issue for clients. One purpose will do.
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, c := range certs[1:min(len(certs), maxChain)] {
		o.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(o)
	if err != nil {
		e := v.explain(leaf, certs[1:min(len(certs), maxChain)], err)
		e.Domain = domain
		return e
	}
	names := namesOf(leaf)
	if slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return names.cover(domain, chain) }) {
		return nil
	}
	return &CertError{domain, WrongName, names.describe() + " and not for " + domain}
}

// explain says in plain words why a chain does not hold. others are what was sent with the certificate.
func (v *Verifier) explain(leaf *x509.Certificate, others []*x509.Certificate, err error) *CertError {
	var (
		invalid   x509.CertificateInvalidError
		unknown   x509.UnknownAuthorityError
		unhandled x509.UnhandledCriticalExtension
	)
	switch {
	case errors.As(err, &invalid):
		c := invalid.Cert
		whose := ""
		if c != nil && !c.Equal(leaf) {
			whose = "was signed by " + who(c) + ", whose own certificate "
		}
		switch invalid.Reason {
		case x509.Expired:
			if c != nil && v.now().Before(c.NotBefore) {
				return &CertError{Kind: NotYetValid, Reason: whose + "is not valid before " + day(c.NotBefore)}
			}
			if c != nil {
				return &CertError{Kind: Expired, Reason: whose + "expired on " + day(c.NotAfter)}
			}
		case x509.IncompatibleUsage:
			return &CertError{Kind: WrongUse, Reason: "was made for neither servers nor clients of TLS"}
		case x509.NotAuthorizedToSign, x509.TooManyIntermediates:
			return &CertError{Kind: WrongUse, Reason: "was signed by " + who(c) + ", which may not sign it"}
		case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage:
			return &CertError{Kind: WrongUse, Reason: "was signed by an authority that may not vouch for such names or uses"}
		}
	case errors.As(err, &unknown):
		if leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
			return &CertError{Kind: SelfSigned, Reason: "is self-signed"}
		}
		for _, c := range others {
			if !c.IsCA && bytes.Equal(c.RawSubject, leaf.RawIssuer) && c.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) == nil {
				return &CertError{Kind: WrongUse, Reason: "was signed by " + who(c) + ", which is no authority"}
			}
		}
		reason := "was signed by an unknown authority"
		if issuer := leaf.Issuer.String(); issuer != "" {
			reason += ", " + clean(issuer)
		}
		return &CertError{Kind: UnknownAuthority, Reason: reason}
	case errors.As(err, &unhandled):
		return &CertError{Kind: Broken, Reason: "has a critical extension that is not understood"}
	}
	return &CertError{Kind: Broken, Reason: "cannot be judged: " + clean(strings.TrimPrefix(err.Error(), "x509: "))}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// who names the owner of a certificate.
func who(c *x509.Certificate) string {
	if c == nil {
		return "somebody"
	}
	if s := c.Subject.String(); s != "" || len(c.DNSNames) == 0 {
		return clean(s)
	}
	return clean(c.DNSNames[0])
}

// maxQuoted bounds what is repeated of a stranger's certificate.
const maxQuoted = 100

// clean makes a stranger's words fit for a log and for XML.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "?")
	short, n := s, 0
	for i := range s {
		if n++; n > maxQuoted {
			short = s[:i] + "…"
			break
		}
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\ufffe' || r == '\uffff' {
			return '?'
		}
		return r
	}, short)
}
