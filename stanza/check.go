package stanza

import (
	"strconv"
	"strings"
)

// Check is the syntax of stanzas as far as it is a server's business. It returns the error to bounce, or nil.
func (s *Stanza) Check() *Error {
	switch s.Kind {
	case KindIQ: // RFC 6120 §8.2.3
		switch s.Type {
		case TypeGet, TypeSet:
			if len(s.Children) != 1 {
				return Err(BadRequest, "a request has one child")
			}
		case TypeResult, TypeError:
		default:
			return Err(BadRequest, "an iq is get, set, result or error")
		}
		if s.ID() == "" {
			return Err(BadRequest, "an iq has an id")
		}
	case KindPresence:
		switch s.Type {
		case TypeUnknown: // RFC 6121 §4.7.1
			return Err(BadRequest, "no such type of presence")
		case TypeNone, TypeUnavailable:
			if _, ok := s.Priority(); !ok {
				return Err(BadRequest, "priority is -128 to 127") // RFC 6121 §4.7.2.3
			}
		}
	}
	return nil
}

// Priority reads a presence's priority (RFC 6121 §4.7.2.3).
func (s *Stanza) Priority() (int8, bool) {
	if !s.Has("", "priority") {
		return 0, true
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s.Text("priority")), 10, 8)
	return int8(n), err == nil
}
