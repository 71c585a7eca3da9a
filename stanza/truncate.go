package stanza

// Truncate returns the first bytes of a text, at most size of them, and only whole characters.
func Truncate(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && s[size]&0xc0 == 0x80 { // the rest of a character that began before
		size--
	}
	return s[:size]
}
