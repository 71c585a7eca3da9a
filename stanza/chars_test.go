package stanza

import (
	"encoding/xml"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// The fifth edition's NameStartChar and the rest of its NameChar, outside ASCII (XML 1.0 §2.3).
var (
	nameStart5 = &unicode.RangeTable{
		R16: []unicode.Range16{
			{0xc0, 0xd6, 1}, {0xd8, 0xf6, 1}, {0xf8, 0x2ff, 1}, {0x370, 0x37d, 1}, {0x37f, 0x1fff, 1}, {0x200c, 0x200d, 1},
			{0x2070, 0x218f, 1}, {0x2c00, 0x2fef, 1}, {0x3001, 0xd7ff, 1}, {0xf900, 0xfdcf, 1}, {0xfdf0, 0xfffd, 1},
		},
		R32: []unicode.Range32{{0x10000, 0xeffff, 1}},
	}
	nameRest5 = &unicode.RangeTable{
		R16: []unicode.Range16{{0xb7, 0xb7, 1}, {0x300, 0x36f, 1}, {0x203f, 0x2040, 1}},
	}
)

// TestCharacters tries every character in every place, against encoding/xml and the tables of XML 1.0.
func TestCharacters(t *testing.T) {
	sc := Scanner{}
	var st Stanza
	ours := func(s string) bool {
		_, err := sc.Scan([]byte(s), &st)
		sc.Reset()
		return err == nil
	}
	theirs := func(s string) bool {
		d := xml.NewDecoder(strings.NewReader(s))
		for {
			if _, err := d.RawToken(); err != nil {
				return err.Error() == "EOF"
			}
		}
	}
	for r := rune(0x80); r <= utf8.MaxRune; r++ {
		// Nothing happens inside the big blocks of CJK and Hangul, nor in the higher planes but at their ends.
		if r%251 != 0 && (r >= 0x10100 && r&0xffff < 0xfff0 || 0x3400 < r && r < 0x4d00 || 0x4f00 < r && r < 0x9f00 ||
			0xad00 < r && r < 0xd700 || 0xe100 < r && r < 0xf800) {
			continue
		}
		if 0xd800 <= r && r < 0xe000 {
			continue
		}
		c := string(r)
		if ours("<a b='"+c+"'>"+c+"<![CDATA["+c+"]]></a>") != xmlChar(r) {
			t.Errorf("%U in text", r)
		}
		if n := runeLen([]byte(c)); xmlChar(r) != (n == len(c)) {
			t.Errorf("%U: length %d", r, n)
		}
		for _, first := range []bool{true, false} {
			name, five := c, unicode.Is(nameStart5, r)
			if !first {
				name, five = "a"+c, five || unicode.Is(nameRest5, r)
			}
			got := ours("<" + name + " " + name + "=''/>")
			if got && !five {
				t.Errorf("%U in a name (first: %v) is not in the fifth edition", r, first)
			}
			if want := theirs("<" + name + "/>"); got != want && five {
				t.Errorf("%U in a name (first: %v): %v, encoding/xml: %v", r, first, got, want)
			}
		}
	}
	for c := range rune(0x80) {
		s := string(c)
		if got, want := ours("<a b=\""+s+"\"/>"), xmlChar(c) && !strings.ContainsRune("<&\"", c); got != want {
			t.Errorf("%U in a value: %v", c, got)
		}
		if got, want := ours("<a>"+s+"</a>"), xmlChar(c) && !strings.ContainsRune("<&", c); got != want {
			t.Errorf("%U in text: %v", c, got)
		}
		if got, want := ours("<"+s+"/>"), c == '_' || unicode.IsLetter(c); got != want {
			t.Errorf("%U as a name: %v", c, got)
		}
		if got, want := ours("<a"+s+"/>"), strings.ContainsRune("_-. \t\r\n", c) || unicode.IsLetter(c) || unicode.IsDigit(c); got != want {
			t.Errorf("%U in a name: %v", c, got)
		}
	}
}

// TestRuneLen compares with utf8 for every sequence of two bytes, and what begins like the interesting longer ones.
func TestRuneLen(t *testing.T) {
	check := func(b []byte) {
		r, n := utf8.DecodeRune(b)
		want := n
		if !utf8.FullRune(b) {
			want = 0
		} else if r == utf8.RuneError && n == 1 || r == 0xfffe || r == 0xffff {
			want = -1
		}
		if got := runeLen(b); got != want {
			t.Errorf("% x: %d, want %d", b, got, want)
		}
	}
	edge := []byte{0, '<', 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbd, 0xbe, 0xbf, 0xc0, 0xff}
	for a := 0x80; a < 0x100; a++ {
		check([]byte{byte(a)})
		for b := range 0x100 {
			check([]byte{byte(a), byte(b)})
			for _, c := range edge {
				check([]byte{byte(a), byte(b), c})
				for _, d := range edge {
					check([]byte{byte(a), byte(b), c, d})
				}
			}
		}
	}
}
