package stanza

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"mellium.im/xmpp/jid"
)

// prepareLocal enforces the UsernameCaseMapped profile and the characters that RFC 7622 §3.3.1 takes out of it.
func prepareLocal(s string) (string, error) {
	upper := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= utf8.RuneSelf:
			return prepareSlow(s, partLocal)
		case c <= ' ' || c == 0x7f || forbiddenInLocal(c): // RFC 8264 §9.11 (ASCII7), RFC 7622 §3.3.1
			return "", errBadLocal
		case 'A' <= c && c <= 'Z':
			upper = true
		}
	}
	if len(s) > maxPart {
		return "", errLongPart
	}
	if upper {
		s = strings.ToLower(s)
	}
	return s, nil
}

// forbiddenInLocal tells the characters of RFC 7622 §3.3.1.
func forbiddenInLocal(c byte) bool {
	switch c {
	case '"', '&', '\'', '/', ':', '<', '>', '@':
		return true
	}
	return false
}

// prepareResource enforces the OpaqueString profile (RFC 7622 §3.4).
func prepareResource(s string) (string, error) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= utf8.RuneSelf {
			return prepareSlow(s, partResource)
		}
		if c < ' ' || c == 0x7f { // RFC 8264 §9.12: controls are in no class
			return "", errBadResource
		}
	}
	if len(s) > maxPart {
		return "", errLongPart
	}
	return s, nil
}

// prepareDomain brings a domain to the form in which domains are compared: lower case, U-labels, no final dot, IPv6
// literals in the shortest spelling (RFC 7622 §3.2).
func prepareDomain(s string) (string, error) {
	if s == "" {
		return "", errNoDomain
	}
	if s[0] == '[' {
		return prepareIPv6(s)
	}
	// RFC 7622 §3.2: the dot is stripped before any other step.
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	upper, label := false, 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= utf8.RuneSelf:
			return prepareIDN(s)
		case c == '.':
			if !hostLabel(s[label:i]) {
				return "", errBadDomain
			}
			label = i + 1
		case 'A' <= c && c <= 'Z':
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == '-':
			if i == label+3 && s[i-1] == '-' {
				return prepareIDN(s) // perhaps an A-label: has to become a U-label (RFC 7622 §3.2.1)
			}
		default:
			return "", errBadDomain
		}
	}
	if !hostLabel(s[label:]) {
		return "", errBadDomain
	}
	if len(s) > maxPart {
		return "", errLongPart
	}
	if upper {
		s = strings.ToLower(s)
	}
	return s, nil
}

// hostLabel checks what the characters alone do not tell of a label (RFC 5890 §2.3.1).
func hostLabel(s string) bool {
	return len(s) > 0 && len(s) <= 63 && s[0] != '-' && s[len(s)-1] != '-'
}

func prepareIPv6(s string) (string, error) {
	if s[len(s)-1] != ']' {
		return "", errBadDomain
	}
	a, err := netip.ParseAddr(s[1 : len(s)-1])
	// A zone means nothing to anybody else; a mapped IPv4 address has a spelling of its own.
	if err != nil || !a.Is6() || a.Is4In6() || a.Zone() != "" {
		return "", errBadDomain
	}
	return "[" + a.String() + "]", nil
}

// ideographicDots are the separators that UTS #46 §2.3 takes for a full stop.
var ideographicDots = strings.NewReplacer("\u3002", ".", "\uff0e", ".", "\uff61", ".")

// prepareIDN prepares a domain with U-labels or A-labels.
func prepareIDN(s string) (string, error) {
	s = strings.TrimSuffix(ideographicDots.Replace(s), ".")
	s, err := prepareSlow(s, partDomain)
	if err != nil {
		return "", err
	}
	for label := range strings.SplitSeq(s, ".") {
		// The mapping must not have made characters that mean something in an address, nor labels that no DNS can hold.
		ascii, err := idna.Punycode.ToASCII(label)
		if err != nil || !hostLabel(ascii) || label[0] == '-' || label[len(label)-1] == '-' {
			return "", errBadDomain
		}
		for i := 0; i < len(label); i++ {
			c := label[i]
			if c < utf8.RuneSelf && c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
				return "", errBadDomain
			}
		}
	}
	return s, nil
}

type part int

const (
	partLocal part = iota
	partDomain
	partResource
)

// prepareSlow prepares one part that is not plain ASCII. What is not stable after three more rounds is refused
// (RFC 8264 §7): a prepared address must be its own prepared form, or two servers could disagree on who is meant.
func prepareSlow(s string, p part) (string, error) {
	// A code point shrinks by three bytes at most when it is mapped, so that nothing longer can become short enough.
	if len(s) > 4*maxPart {
		return "", errLongPart
	}
	for range 4 {
		t, err := prepareOnce(s, p)
		if err != nil {
			return "", err
		}
		if t == s {
			return s, nil
		}
		s = t
	}
	return "", [...]error{errBadLocal, errBadDomain, errBadResource}[p]
}

// prepareOnce has mellium prepare one part. The profiles below it are big tables fed by strangers: a panic there means
// that the address is refused, not that the server ends.
func prepareOnce(s string, p part) (t string, err error) {
	bad := [...]error{errBadLocal, errBadDomain, errBadResource}[p]
	defer func() {
		if recover() != nil {
			t, err = "", bad
		}
	}()
	var j jid.JID
	switch p {
	case partLocal:
		j, err = jid.New(s, "x", "")
		t = j.Localpart()
	case partDomain:
		j, err = jid.New("", s, "")
		t = j.Domainpart()
	case partResource:
		j, err = jid.New("", "x", s)
		t = j.Resourcepart()
	}
	if err != nil || t == "" || !utf8.ValidString(t) {
		return "", bad
	}
	if len(t) > maxPart {
		return "", errLongPart
	}
	return t, nil
}

// DomainASCII returns the domain with A-labels in place of U-labels: the form for DNS, TLS and certificates.
func (j JID) DomainASCII() string {
	for i := 0; i < len(j.domain); i++ {
		if j.domain[i] >= utf8.RuneSelf {
			if a, err := idna.Punycode.ToASCII(j.domain); err == nil {
				return a
			}
			break
		}
	}
	return j.domain
}
