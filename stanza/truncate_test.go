package stanza

import "testing"

func TestTruncate(t *testing.T) {
	for _, tt := range []struct {
		s    string
		size int
		want string
	}{
		{"", 0, ""}, {"abc", 3, "abc"}, {"abc", 2, "ab"}, {"abc", 0, ""}, {"aü", 2, "a"}, {"aü", 3, "aü"}, {"ü", 1, ""}, {"\U0001f600x", 3, ""}, {"\U0001f600x", 4, "\U0001f600"},
	} {
		if got := Truncate(tt.s, tt.size); got != tt.want {
			t.Errorf("%q, %d: %q, want %q", tt.s, tt.size, got, tt.want)
		}
	}
}
