package stanza

import "errors"

// ErrMore says that the bytes so far hold no complete element.
var ErrMore = errors.New("stanza: need more bytes")

// ErrStreamEnd says that the peer sent </stream:stream>.
var ErrStreamEnd = errors.New("stanza: end of stream")

// SyntaxError is a violation for which the stream must end; Condition is the stream error to send (RFC 6120 §4.9.3):
// not-well-formed, restricted-xml, bad-namespace-prefix, policy-violation (limits), invalid-xml, unsupported-encoding.
type SyntaxError struct {
	Condition string
	Reason    string // for people; says nothing of our insides
}

func (e *SyntaxError) Error() string { return e.Condition + ": " + e.Reason }
