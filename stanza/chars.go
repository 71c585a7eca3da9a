package stanza

import (
	"unicode"
	"unicode/utf8"
)

// Classes of bytes, for the loops that look at every byte.
const (
	plain   byte = iota // nothing to look at
	special             // means something in text or in a value
	wide                // part of a character outside ASCII
	bad                 // no XML character (XML 1.0 §2.2)
)

var (
	// Character data: < & ] are special.
	textClass = byteClasses("<&]")
	// Attribute values: quotes are special too, and the white space that is normalised.
	valueClass = byteClasses("<&'\"\t\n\r")
	// CDATA sections.
	cdataClass = byteClasses("]")

	nameClass  = nameClasses()
	spaceClass = [256]bool{' ': true, '\t': true, '\n': true, '\r': true}
	// What no URI or IRI holds.
	notURI = notURIs()
)

// Classes of bytes in names.
const (
	nameNo byte = iota
	nameColon
	nameWide  // part of a character outside ASCII
	nameRest  // NameChar, not first
	nameStart // NameStartChar but the colon
)

func byteClasses(specials string) (class [256]byte) {
	for i := range class {
		switch {
		case i >= 0x80:
			class[i] = wide
		case i < 0x20 && i != '\t' && i != '\n' && i != '\r':
			class[i] = bad
		}
	}
	for _, c := range specials {
		class[c] = special
	}
	return class
}

func nameClasses() (class [256]byte) {
	for c := range class {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', c == '_':
			class[c] = nameStart
		case '0' <= c && c <= '9', c == '-', c == '.':
			class[c] = nameRest
		case c == ':':
			class[c] = nameColon
		case c >= 0x80:
			class[c] = nameWide
		}
	}
	return class
}

func notURIs() (no [256]bool) {
	for c := range '!' {
		no[c] = true
	}
	for _, c := range "\"<>\\^`{|}\x7f" {
		no[c] = true
	}
	return no
}

// skipPlain returns the offset of the first byte from i on that its class does not call plain.
func skipPlain(b []byte, i int, class *[256]byte) int {
	for ; i+4 <= len(b); i += 4 {
		if p := b[i : i+4]; class[p[0]]|class[p[1]]|class[p[2]]|class[p[3]] != plain {
			break
		}
	}
	for i < len(b) && class[b[i]] == plain {
		i++
	}
	return i
}

// skipWide skips the characters outside ASCII that begin at i.
func skipWide(b []byte, i int) (int, error) {
	for i < len(b) && b[i] >= 0x80 {
		if b[i] < 0xe0 && b[i] >= 0xc2 && i+1 < len(b) && b[i+1]&0xc0 == 0x80 {
			i += 2 // most alphabets
			continue
		}
		n := runeLen(b[i:])
		if n < 0 {
			return i, errUTF8
		}
		if n == 0 {
			return i, ErrMore
		}
		i += n
	}
	return i, nil
}

// runeLen returns the length of the character outside ASCII that b begins with, 0 where b ends inside it, and -1 where it
// is not UTF-8 (RFC 3629 §4) or no XML character (XML 1.0 §2.2). C1 controls are characters.
func runeLen(b []byte) int {
	c := b[0]
	n, lo, hi := 0, byte(0x80), byte(0xbf)
	switch {
	case c < 0xc2:
		return -1
	case c < 0xe0:
		n = 2
	case c < 0xf0:
		n = 3
		switch c {
		case 0xe0:
			lo = 0xa0 // overlong
		case 0xed:
			hi = 0x9f // surrogates
		}
	case c < 0xf5:
		n = 4
		switch c {
		case 0xf0:
			lo = 0x90 // overlong
		case 0xf4:
			hi = 0x8f // beyond U+10FFFF
		}
	default:
		return -1
	}
	if len(b) < 2 {
		return 0
	}
	if b[1] < lo || b[1] > hi {
		return -1
	}
	for i := 2; i < n; i++ {
		if i == len(b) {
			return 0
		}
		if b[i]&0xc0 != 0x80 {
			return -1
		}
	}
	if c == 0xef && b[1] == 0xbf && b[2] >= 0xbe {
		return -1 // U+FFFE, U+FFFF
	}
	return n
}

// xmlChar tells whether XML 1.0 §2.2 knows the character.
func xmlChar(r rune) bool {
	return r >= 0x20 && r <= 0xd7ff || r == '\t' || r == '\n' || r == '\r' || r >= 0xe000 && r <= 0xfffd ||
		r >= 0x10000 && r <= utf8.MaxRune
}

// nameRune tells whether a character outside ASCII may stand in a name, at its start or behind it.
//
// XML 1.0 has two answers: the fourth edition's tables (appendix B), which are the letters of Unicode 2.0, and the wide
// ranges of the fifth (§2.3), of which they are a part. Many parsers, expat among them, still go by the fourth, and a name
// that they do not know ends their stream.
// COMPAT: so we go by the fourth too; else a stranger could throw people out with a stanza.
func nameRune(r rune, first bool) bool {
	return unicode.Is(nameStart4, r) || !first && unicode.Is(nameRest4, r)
}
