package stream

import (
	"errors"

	"github.com/xmppd/xmppd/stanza"
)

// Error is a stream error (RFC 6120 §4.9): it ends the stream.
type Error struct {
	Condition string // a defined condition of RFC 6120 §4.9.3
	Text      string // for people; says nothing of our insides
	App       []byte // application-specific condition, well-formed XML; may be nil
}

func (e *Error) Error() string {
	if e.Text == "" {
		return "stream error: " + e.Condition
	}
	return "stream error: " + e.Condition + ": " + e.Text
}

// AppendTo appends <stream:error/> as XML: condition, text, application-specific condition, in that order
// (RFC 6120 §4.9.2).
func (e *Error) AppendTo(dst []byte) []byte {
	dst = append(dst, "<stream:error><"...)
	dst = append(dst, e.Condition...)
	dst = append(dst, " xmlns='"+stanza.NSStreams+"'/>"...)
	if e.Text != "" {
		dst = append(dst, "<text xmlns='"+stanza.NSStreams+"' xml:lang='en'>"...)
		dst = stanza.AppendEscaped(dst, e.Text)
		dst = append(dst, "</text>"...)
	}
	dst = append(dst, e.App...)
	return append(dst, "</stream:error>"...)
}

// FromSyntax turns a *stanza.SyntaxError into the stream error to send; other errors are returned as they are.
func FromSyntax(err error) error {
	var s *stanza.SyntaxError
	if errors.As(err, &s) {
		return &Error{Condition: s.Condition, Text: s.Reason}
	}
	return err
}
