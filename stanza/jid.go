package stanza

// JID is an XMPP address, prepared and checked as RFC 7622 §3 says. It is comparable, so it serves as a map key; the zero
// value is "no address".
type JID struct{ local, domain, resource string }

// ParseJID reads and prepares an address: PRECIS UsernameCaseMapped for the localpart, IDNA for the domain,
// OpaqueString for the resource (RFC 7622 §3). Plain ASCII takes a fast path.
func ParseJID(s string) (JID, error) { panic("stanza: ParseJID") }

// InternJID is ParseJID for bytes of a stanza: an address seen before costs no allocation.
func InternJID(b []byte) (JID, error) { panic("stanza: InternJID") }

// NewJID prepares the three parts of an address; local and resource may be empty.
func NewJID(local, domain, resource string) (JID, error) { panic("stanza: NewJID") }

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

// WithResource returns the address with another resource, which is prepared and checked.
func (j JID) WithResource(r string) (JID, error) { panic("stanza: WithResource") }

// IsZero tells whether there is no address at all.
func (j JID) IsZero() bool { return j.domain == "" }

// IsBare tells whether the address has no resource.
func (j JID) IsBare() bool { return j.resource == "" }

// String returns the address in its prepared form.
func (j JID) String() string { return string(j.AppendTo(nil)) }

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
