package stream

// State says how far a stream has come; a feature names the states that it needs or excludes.
type State uint8

// The states; they add up.
const (
	Secure        State = 1 << iota // TLS is on
	Authenticated                   // SASL is done
	Bound                           // a resource is bound (RFC 6120 §7)
)

// Feature is something announced in <stream:features/> (RFC 6120 §4.3.2).
type Feature struct {
	Name          string // for logs and docs
	Need, Exclude State
	// Append appends the element that announces it, or nothing.
	Append func(dst []byte, c *Conn) []byte
}
