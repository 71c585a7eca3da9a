package stream

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

// AppendTo appends <stream:error/> as XML.
func (e *Error) AppendTo(dst []byte) []byte { panic("stream") }
