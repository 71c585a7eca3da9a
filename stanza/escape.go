package stanza

import (
	"bytes"
	"unicode/utf8"
)

// maxEscape is how many bytes one byte becomes at most (&quot;).
const maxEscape = 6

// AppendEscaped appends s with & < > ' " escaped, fit for text and attribute values (tab, newline and return become
// character references so that attribute normalisation cannot change them). Characters that XML 1.0 cannot carry are
// replaced by U+FFFD.
func AppendEscaped(dst []byte, s string) []byte { return appendEscaped(dst, s, true) }

// appendText is AppendEscaped for character data, where quotes and white space may stand.
func appendText(dst []byte, s string) []byte { return appendEscaped(dst, s, false) }

func appendEscaped(dst []byte, s string, attr bool) []byte {
	done := 0 // s[:done] is appended
	for i := 0; i < len(s); {
		c, n, by := s[i], 1, ""
		switch {
		case c >= utf8.RuneSelf:
			if c < 0xe0 && c >= 0xc2 && i+1 < len(s) && s[i+1]&0xc0 == 0x80 {
				i += 2
				continue
			}
			var r rune
			r, n = utf8.DecodeRuneInString(s[i:])
			if n > 1 && xmlChar(r) {
				i += n
				continue
			}
			by = "\uFFFD"
		case c == '&':
			by = "&amp;"
		case c == '<':
			by = "&lt;"
		case c == '>': // always, because of ]]>
			by = "&gt;"
		case c == '\r': // XML 1.0 §2.11 would make a newline of it
			by = "&#13;"
		case c == '\'' && attr:
			by = "&apos;"
		case c == '"' && attr:
			by = "&quot;"
		case c == '\t' && attr: // XML 1.0 §3.3.3 would make spaces of these two
			by = "&#9;"
		case c == '\n' && attr:
			by = "&#10;"
		case c < ' ' && c != '\t' && c != '\n':
			by = "\uFFFD"
		default:
			i++
			continue
		}
		dst = append(append(dst, s[done:i]...), by...)
		i += n
		done = i
	}
	return append(dst, s[done:]...)
}

// appendUnescaped appends what scanned character data or a scanned attribute value stands for: references resolved, line
// ends normalised (XML 1.0 §2.11), and in attributes white space made spaces (§3.3.3).
func appendUnescaped(dst, raw []byte, attr bool) []byte {
	for i := 0; i < len(raw); {
		switch c := raw[i]; {
		case c == '&':
			end := bytes.IndexByte(raw[i:], ';')
			if end < 0 {
				return append(dst, raw[i:]...) // not from the scanner
			}
			dst = appendReference(dst, raw[i+1:i+end])
			i += end + 1
			continue
		case c == '\r':
			if i+1 < len(raw) && raw[i+1] == '\n' {
				i++
			}
			c = '\n'
			fallthrough
		case c == '\n' || c == '\t':
			if attr {
				dst = append(dst, ' ')
			} else if raw[i] == '\t' {
				dst = append(dst, '\t')
			} else {
				dst = append(dst, '\n')
			}
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// appendReference appends what is between & and ; as the character that it means.
func appendReference(dst, ref []byte) []byte {
	for _, e := range entities {
		if string(ref) == e.name[1:len(e.name)-1] {
			return append(dst, e.char)
		}
	}
	if len(ref) < 2 || ref[0] != '#' {
		return dst
	}
	digits, base, r := ref[1:], rune(10), rune(0)
	if digits[0] == 'x' {
		digits, base = digits[1:], 16
	}
	for _, c := range digits {
		d := rune(c - '0')
		if c > '9' {
			d = rune(c|0x20-'a') + 10
		}
		if r = r*base + d; r > utf8.MaxRune {
			return dst
		}
	}
	return utf8.AppendRune(dst, r)
}

// unescape returns scanned character data or a scanned attribute value as what it stands for.
func unescape(raw []byte, attr bool) string {
	for _, c := range raw {
		if c == '&' || c == '\r' || attr && (c == '\n' || c == '\t') {
			return string(appendUnescaped(make([]byte, 0, len(raw)), raw, attr))
		}
	}
	return string(raw)
}

// validText tells whether s is UTF-8 and has nothing but XML characters.
func validText(s string) bool {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || !xmlChar(r) {
			return false
		}
		i += n
	}
	return true
}
