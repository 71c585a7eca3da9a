package s2s

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/xmppd/xmppd/stanza"
)

// names are what a certificate may prove (RFC 6120 §13.7.1.2, RFC 9525 §6): the subjectAltName alone. A common name is
// none (RFC 9525 §2).
type names struct {
	dns  []string // dNSName, wildcards included
	srv  []string // the domains of SRVNames of _xmpp-server (RFC 4985)
	xmpp []string // id-on-xmppAddr that are a domain alone, prepared
	ip   []net.IP
}

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidXMPPAddr       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5} // id-on-xmppAddr, RFC 6120 §13.7.1.4
	oidDNSSRV         = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 7} // id-on-dnsSRV, RFC 4985 §2
)

const (
	maxNames   = 256  // in one certificate; public authorities put 100 into one
	maxAddress = 1023 // bytes of a domain, RFC 7622 §3.2
	srvPrefix  = "_xmpp-server."
)

var errAltName = errors.New("s2s: the subjectAltName is not well-formed")

// namesOf returns the names of a certificate.
func namesOf(leaf *x509.Certificate) names {
	n := names{dns: leaf.DNSNames, ip: leaf.IPAddresses}
	n.dns = n.dns[:min(len(n.dns), maxNames)]
	for _, ext := range leaf.Extensions {
		if ext.Id.Equal(oidSubjectAltName) {
			n.srv, n.xmpp, _ = otherNames(ext.Value) // what cannot be read proves nothing
		}
	}
	return n
}

// understood returns leaf such that its chain can be verified. Package x509 does not know otherNames: a critical
// subjectAltName with no other names counts as not understood, which it is here.
func understood(leaf *x509.Certificate) *x509.Certificate {
	i := slices.IndexFunc(leaf.UnhandledCriticalExtensions, oidSubjectAltName.Equal)
	if i < 0 {
		return leaf
	}
	for _, ext := range leaf.Extensions {
		if ext.Id.Equal(oidSubjectAltName) {
			if srv, xmpp, err := otherNames(ext.Value); err != nil || len(srv)+len(xmpp) == 0 {
				return leaf
			}
		}
	}
	c := *leaf // the handshake's may be shared
	c.UnhandledCriticalExtensions = slices.Delete(slices.Clone(leaf.UnhandledCriticalExtensions), i, i+1)
	return &c
}

// otherNames reads the otherNames of a subjectAltName (RFC 5280 §4.2.1.6) that name a server:
//
//	SubjectAltName ::= SEQUENCE OF GeneralName
//	GeneralName    ::= CHOICE { otherName [0] SEQUENCE { type-id OID, value [0] EXPLICIT ANY }, … }
func otherNames(der []byte) (srv, xmpp []string, err error) {
	input := cryptobyte.String(der)
	var list cryptobyte.String
	if !input.ReadASN1(&list, cryptoasn1.SEQUENCE) || !input.Empty() {
		return nil, nil, errAltName
	}
	for n := 0; !list.Empty() && n < maxNames; n++ {
		var name, value, text cryptobyte.String
		var tag cryptoasn1.Tag
		if !list.ReadAnyASN1(&name, &tag) {
			return nil, nil, errAltName
		}
		if tag != cryptoasn1.Tag(0).ContextSpecific().Constructed() {
			continue
		}
		var id asn1.ObjectIdentifier
		if !name.ReadASN1ObjectIdentifier(&id) ||
			!name.ReadASN1(&value, cryptoasn1.Tag(0).ContextSpecific().Constructed()) || !name.Empty() {
			return nil, nil, errAltName
		}
		if !id.Equal(oidXMPPAddr) && !id.Equal(oidDNSSRV) {
			continue
		}
		if !value.ReadAnyASN1(&text, &tag) || !value.Empty() {
			return nil, nil, errAltName
		}
		// COMPAT: RFC 4985 §2 wants an IA5String, RFC 6120 §13.7.1.4 a UTF8String; some tools write the other one.
		if tag != cryptoasn1.UTF8String && tag != cryptoasn1.IA5String || len(text) > len(srvPrefix)+maxAddress ||
			tag == cryptoasn1.IA5String && bytes.ContainsFunc(text, func(r rune) bool { return r > 0x7f }) {
			continue
		}
		if id.Equal(oidDNSSRV) {
			if s := strings.ToLower(string(text)); strings.HasPrefix(s, srvPrefix) && s != srvPrefix {
				srv = append(srv, s[len(srvPrefix):])
			}
		} else if j, err := stanza.ParseJID(string(text)); err == nil && j == j.Host() {
			xmpp = append(xmpp, j.Domain())
		}
	}
	return srv, xmpp, nil
}

// cover tells whether one of the names is a domain's. chain is what the certificate was verified by: package x509 holds
// dNSNames against the name constraints of authorities, and knows nothing of the other names.
func (n *names) cover(domain string, chain []*x509.Certificate) bool {
	if ip, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
		return slices.ContainsFunc(n.ip, func(have net.IP) bool { a, ok := netip.AddrFromSlice(have); return ok && a.Unmap() == ip })
	}
	ascii, err := asciiDomain(domain)
	if err != nil {
		return false
	}
	fits := func(pattern string) bool { return matches(pattern, ascii) }
	if slices.ContainsFunc(n.dns, fits) {
		return true
	}
	return (slices.ContainsFunc(n.srv, fits) || slices.Contains(n.xmpp, domain)) && permitted(ascii, chain)
}

// matches compares a name of a certificate with a domain, both of A-labels. A wildcard is a whole label, the first, and
// stands for one label (RFC 9525 §6.3).
func matches(pattern, ascii string) bool {
	pattern = strings.TrimSuffix(pattern, ".")
	if rest, wild := strings.CutPrefix(pattern, "*."); wild {
		_, parent, more := strings.Cut(ascii, ".")
		return more && strings.EqualFold(rest, parent)
	}
	return strings.EqualFold(pattern, ascii)
}

// permitted holds a domain against the constraints on dNSNames of a chain's authorities (RFC 5280 §4.2.1.10): who may vouch
// for example.com alone must not get around that with another kind of name.
func permitted(ascii string, chain []*x509.Certificate) bool {
	under := func(constraint string) bool {
		constraint = strings.ToLower(constraint)
		if strings.HasPrefix(constraint, ".") {
			return strings.HasSuffix(ascii, constraint)
		}
		return constraint == "" || ascii == constraint || strings.HasSuffix(ascii, "."+constraint)
	}
	for _, ca := range chain[1:] {
		if slices.ContainsFunc(ca.ExcludedDNSDomains, under) ||
			len(ca.PermittedDNSDomains) > 0 && !slices.ContainsFunc(ca.PermittedDNSDomains, under) {
			return false
		}
	}
	return true
}

// describe completes "the certificate …" with the names that it is for.
func (n *names) describe() string {
	all := slices.Clone(n.dns)
	for _, s := range n.srv {
		all = append(all, srvPrefix+s)
	}
	all = append(all, n.xmpp...)
	for _, ip := range n.ip {
		all = append(all, ip.String())
	}
	const shown = 5
	more := ""
	if len(all) > shown {
		all, more = all[:shown], ", …"
	}
	if len(all) == 0 {
		return "names no server in its subjectAltName (a common name does not count),"
	}
	for i := range all {
		all[i] = clean(all[i])
	}
	return "is for " + strings.Join(all, ", ") + more
}
