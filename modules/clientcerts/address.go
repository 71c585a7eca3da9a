package clientcerts

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cryptoasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/xmppd/xmppd/stanza"
)

// The limits on what a subjectAltName may hold.
const (
	maxNames   = 64
	maxAddress = 3071 // RFC 7622 §3.1
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidXMPPAddr       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5} // id-on-xmppAddr, RFC 6120 §13.7.1.4
)

var (
	errAltName = errors.New("its subjectAltName is not well-formed")
	errNames   = errors.New("its subjectAltName has too many names")
	errAddress = errors.New("it names an address that is none")
)

// addresses returns the JIDs that a certificate names by id-on-xmppAddr, prepared, each once, in their order.
func addresses(leaf *x509.Certificate) ([]stanza.JID, error) {
	var out []stanza.JID
	for _, ext := range leaf.Extensions {
		if !ext.Id.Equal(oidSubjectAltName) {
			continue
		}
		list, err := parseAltName(ext.Value)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// parseAltName reads a subjectAltName (RFC 5280 §4.2.1.6):
//
//	SubjectAltName ::= SEQUENCE OF GeneralName
//	GeneralName    ::= CHOICE { otherName [0] SEQUENCE { type-id OID, value [0] EXPLICIT ANY }, … }
func parseAltName(der []byte) ([]stanza.JID, error) {
	input := cryptobyte.String(der)
	var names cryptobyte.String
	if !input.ReadASN1(&names, cryptoasn1.SEQUENCE) || !input.Empty() {
		return nil, errAltName
	}
	var out []stanza.JID
	for n := 0; !names.Empty(); n++ {
		if n == maxNames {
			return nil, errNames
		}
		var name cryptobyte.String
		var tag cryptoasn1.Tag
		if !names.ReadAnyASN1(&name, &tag) {
			return nil, errAltName
		}
		if tag != cryptoasn1.Tag(0).ContextSpecific().Constructed() {
			continue
		}
		j, ok, err := parseOtherName(name)
		if err != nil {
			return nil, err
		}
		if ok && !slices.Contains(out, j) {
			out = append(out, j)
		}
	}
	return out, nil
}

// parseOtherName reads an otherName; ok tells whether it is an XMPP address.
func parseOtherName(name cryptobyte.String) (j stanza.JID, ok bool, err error) {
	var id asn1.ObjectIdentifier
	if !name.ReadASN1ObjectIdentifier(&id) {
		return j, false, errAltName
	}
	if !id.Equal(oidXMPPAddr) {
		return j, false, nil
	}
	var value, text cryptobyte.String
	var tag cryptoasn1.Tag
	if !name.ReadASN1(&value, cryptoasn1.Tag(0).ContextSpecific().Constructed()) || !name.Empty() ||
		!value.ReadAnyASN1(&text, &tag) || !value.Empty() {
		return j, false, errAltName
	}
	// COMPAT: RFC 6120 §13.7.1.4 wants a UTF8String; some tools write addresses, which are ASCII mostly, as an IA5String.
	if tag != cryptoasn1.UTF8String && tag != cryptoasn1.IA5String {
		return j, false, errAddress
	}
	if len(text) > maxAddress || tag == cryptoasn1.IA5String && bytes.ContainsFunc(text, func(r rune) bool { return r > 0x7f }) {
		return j, false, errAddress
	}
	if j, err = stanza.ParseJID(string(text)); err != nil {
		return j, false, errAddress
	}
	return j, true, nil
}

// of tells whether any of the addresses is that of an account.
func of(list []stanza.JID, account stanza.JID) bool {
	return slices.ContainsFunc(list, func(j stanza.JID) bool { return j.Bare() == account.Bare() })
}
