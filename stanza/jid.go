package stanza

import (
	"errors"
	"strings"
)

// JID is an XMPP address, prepared and checked as RFC 7622 §3 says. It is comparable, so it serves as a map key; the zero
// value is "no address".
type JID struct{ local, domain, resource string }

// maxPart is the longest that each part may be after preparation, in bytes (RFC 7622 §3.2, §3.3, §3.4).
const maxPart = 1023

// What can be wrong with an address. They name no input: an address may be private.
var (
	errNoLocal     = errors.New("stanza: address: nothing before @")
	errNoDomain    = errors.New("stanza: address: no domain")
	errNoResource  = errors.New("stanza: address: nothing after /")
	errLongPart    = errors.New("stanza: address: a part is longer than 1023 bytes")
	errBadLocal    = errors.New("stanza: address: character not allowed before @")
	errBadDomain   = errors.New("stanza: address: not a domain")
	errBadResource = errors.New("stanza: address: character not allowed after /")
)

// ParseJID reads and prepares an address: PRECIS UsernameCaseMapped for the localpart, IDNA for the domain,
// OpaqueString for the resource (RFC 7622 §3). Plain ASCII takes a fast path.
func ParseJID(s string) (JID, error) {
	// The separators are found before anything is mapped, since a mapping may yield one (RFC 7622 §3.1).
	var local, resource string
	domain := s
	if i := strings.IndexByte(domain, '/'); i >= 0 {
		domain, resource = domain[:i], domain[i+1:]
		if resource == "" {
			return JID{}, errNoResource
		}
	}
	if i := strings.IndexByte(domain, '@'); i >= 0 {
		local, domain = domain[:i], domain[i+1:]
		if local == "" {
			return JID{}, errNoLocal
		}
	}
	return NewJID(local, domain, resource)
}

// NewJID prepares the three parts of an address; local and resource may be empty.
func NewJID(local, domain, resource string) (j JID, err error) {
	if local != "" {
		if j.local, err = prepareLocal(local); err != nil {
			return JID{}, err
		}
	}
	if j.domain, err = prepareDomain(domain); err != nil {
		return JID{}, err
	}
	if resource != "" {
		if j.resource, err = prepareResource(resource); err != nil {
			return JID{}, err
		}
	}
	return j, nil
}

// MustJID is ParseJID for constants and tests; it panics on a bad address.
func MustJID(s string) JID {
	j, err := ParseJID(s)
	if err != nil {
		panic(err)
	}
	return j
}

// Local returns the localpart, empty for the address of a server.
func (j JID) Local() string { return j.local }

// Domain returns the domainpart.
func (j JID) Domain() string { return j.domain }

// Resource returns the resourcepart, empty for a bare JID.
func (j JID) Resource() string { return j.resource }

// Bare returns the address without its resource.
func (j JID) Bare() JID { return JID{j.local, j.domain, ""} }

// Host returns the domain alone as an address.
func (j JID) Host() JID { return JID{"", j.domain, ""} }

// Covers tells whether j, as an entry of a list, means o: the address itself, all resources of an account, or a domain with
// all accounts and resources of it (XEP-0191 §5). A resource of a domain means itself alone.
func (j JID) Covers(o JID) bool {
	return j == o || j.resource == "" && j.domain == o.domain && (j.local == o.local || j.local == "")
}

// WithResource returns the address with another resource, which is prepared and checked.
func (j JID) WithResource(r string) (JID, error) {
	if r == "" {
		return JID{}, errNoResource
	}
	r, err := prepareResource(r)
	if err != nil {
		return JID{}, err
	}
	j.resource = r
	return j, nil
}

// IsZero tells whether there is no address at all.
func (j JID) IsZero() bool { return j.domain == "" }

// IsBare tells whether the address has no resource.
func (j JID) IsBare() bool { return j.resource == "" }

// String returns the address in its prepared form.
func (j JID) String() string {
	if j.local == "" && j.resource == "" {
		return j.domain
	}
	return string(j.AppendTo(make([]byte, 0, len(j.local)+len(j.domain)+len(j.resource)+2)))
}

// AppendTo appends the prepared form to dst, unescaped.
func (j JID) AppendTo(dst []byte) []byte {
	if j.local != "" {
		dst = append(append(dst, j.local...), '@')
	}
	dst = append(dst, j.domain...)
	if j.resource != "" {
		dst = append(append(dst, '/'), j.resource...)
	}
	return dst
}

// appendEscaped appends the prepared form, fit for an attribute value. Only a resource can hold what needs escaping.
func (j JID) appendEscaped(dst []byte) []byte {
	dst = j.Bare().AppendTo(dst)
	if j.resource != "" {
		dst = AppendEscaped(append(dst, '/'), j.resource)
	}
	return dst
}

// escapedMax is an upper bound of what appendEscaped appends.
func (j JID) escapedMax() int { return len(j.local) + len(j.domain) + 2 + len(j.resource)*maxEscape }
