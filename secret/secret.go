// Package secret holds what must not be told: texts and keys that nothing prints, and memory that is neither swapped out nor
// dumped.
//
// # Implementation notes
//
//   - fmt passes over the methods of what stands in an unexported field. So a text is behind a pointer, and a key within a
//     function, of which it prints the address. (It follows pointers to slices where a verb does not fit.)
//   - All of it is at best effort: Go's stacks move, strings cannot be wiped, and what a key was used for (the state of a
//     cipher) is somewhere else in memory. What keeps others from reading that is Harden.
package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what is printed of a secret.
const redacted = "[redacted]"

// Text is a secret that somebody wrote: an option, a password on its way. Whatever prints, logs or encodes it writes
// [redacted], or nothing where it is empty.
type Text struct{ text *string }

// NewText makes a Text.
func NewText(s string) Text {
	if s == "" {
		return Text{}
	}
	return Text{&s}
}

// Reveal returns the text itself.
func (t Text) Reveal() string {
	if t.text == nil {
		return ""
	}
	return *t.text
}

// IsZero tells whether there is none.
func (t Text) IsZero() bool { return t.text == nil }

// String implements fmt.Stringer.
func (t Text) String() string {
	if t.IsZero() {
		return ""
	}
	return redacted
}

// Format implements fmt.Formatter: no verb prints more than String.
func (t Text) Format(f fmt.State, _ rune) { io.WriteString(f, t.String()) }

// GoString implements fmt.GoStringer.
func (t Text) GoString() string { return t.String() }

// MarshalText implements encoding.TextMarshaler, and so do encoders of JSON and TOML.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) { return []byte(`"` + t.String() + `"`), nil }

// LogValue implements slog.LogValuer.
func (t Text) LogValue() slog.Value { return slog.StringValue(t.String()) }

// UnmarshalText implements encoding.TextUnmarshaler: secrets are read as texts are.
func (t *Text) UnmarshalText(b []byte) error {
	*t = NewText(string(b))
	return nil
}

// Key is a secret of random bytes. Like a Text it is not printed.
type Key struct{ bytes func() []byte }

// NewKey makes a Key of bytes that nobody else uses from then on.
func NewKey(b []byte) Key { return Key{func() []byte { return b }} }

// Lock moves bytes to memory of their own that is neither swapped out nor part of a core dump, and wipes them where they were.
// An error says that the system does not have it so (RLIMIT_MEMLOCK); the Key is good all the same. Its memory is never
// given back: somebody may still use the bytes. So it is for few keys that live long.
func Lock(b []byte) (Key, error) {
	at, err := lock(len(b))
	copy(at, b)
	clear(b)
	return NewKey(at), err
}

// Bytes returns the key itself, which must not be changed.
func (k Key) Bytes() []byte {
	if k.bytes == nil {
		return nil
	}
	return k.bytes()
}

// String implements fmt.Stringer.
func (k Key) String() string {
	if len(k.Bytes()) == 0 {
		return ""
	}
	return redacted
}

// Format implements fmt.Formatter.
func (k Key) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// GoString implements fmt.GoStringer.
func (k Key) GoString() string { return k.String() }

// MarshalText implements encoding.TextMarshaler.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// MarshalJSON implements json.Marshaler.
func (k Key) MarshalJSON() ([]byte, error) { return []byte(`"` + k.String() + `"`), nil }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }
