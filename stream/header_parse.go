package stream

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/xmppd/xmppd/stanza"
)

const (
	nsXMLNS = "http://www.w3.org/2000/xmlns/"
	maxDecl = 128 // bytes of an XML declaration
)

// span is a range of the bytes of a header.
type span struct{ a, b int }

// qname is where a qualified name stands, and for an attribute its value.
type qname struct {
	name, val span
	colon     int // 0: no prefix
}

func (q qname) split(b []byte) (prefix, local string) {
	if q.colon == 0 {
		return "", string(b[q.name.a:q.name.b])
	}
	return string(b[q.name.a:q.colon]), string(b[q.colon+1 : q.name.b])
}

// headerParser reads an XML declaration and a start tag, each byte once, as they arrive, and stops at the first byte that
// cannot be: whoever speaks something else learns it at once. It is as strict as stanza.Scanner.
type headerParser struct {
	lim      stanza.Limits
	again    bool // white space before the declaration belongs to the stream before
	pos      int  // bytes looked at
	state    headerState
	spaced   bool // there was white space just before
	declared bool
	quote    byte
	decl     int // where the declaration begins
	root     qname
	attrs    []qname
	xmlns    int  // of these, namespace declarations
	empty    bool // the tag ends in />
}

type headerState uint8

const (
	inProlog headerState = iota // before the tag
	inOpen                      // behind <
	inDecl                      // up to ?>
	inName                      // of the element
	inTag                       // between attributes
	inAttr                      // name of an attribute
	inEq                        // before =
	inQuote                     // before the value
	inValue
	inSlash // behind /
)

func notWellFormed(text string) *Error { return &Error{Condition: "not-well-formed", Text: text} }

// parse goes on in b, which begins with the same bytes as before. done: the tag ends at pos.
func (p *headerParser) parse(b []byte) (done bool, err *Error) {
	for p.pos < len(b) {
		ch, at := b[p.pos], p.pos
		p.pos++
		switch p.state {
		case inProlog:
			switch {
			case isSpace(ch):
				p.spaced = true
			case ch == '<':
				p.state = inOpen
			default: // a byte order mark, too (RFC 6120 §11.6)
				return false, notWellFormed("not XML")
			}
		case inOpen:
			switch {
			case ch == '?' && !p.declared && (!p.spaced || p.again):
				p.state, p.decl = inDecl, at-1
			case ch == '?':
				return false, &Error{Condition: "restricted-xml", Text: "processing instruction"} // RFC 6120 §11.1
			case ch == '!':
				return false, &Error{Condition: "restricted-xml", Text: "comment or document type"} // RFC 6120 §11.1
			case isNameStart(ch):
				p.state, p.root.name.a = inName, at
			default:
				return false, notWellFormed("bad name")
			}
		case inDecl:
			const begin = "<?xml"
			switch n := at - p.decl; {
			case n < len(begin) && ch != begin[n], n == len(begin) && !isSpace(ch):
				return false, &Error{Condition: "restricted-xml", Text: "processing instruction"}
			case n > maxDecl || ch == '<' || ch >= 0x7f || ch < ' ' && !isSpace(ch):
				return false, notWellFormed("bad XML declaration")
			case ch == '>':
				if err := checkDecl(b[p.decl+len(begin) : p.pos]); err != nil {
					return false, err
				}
				p.state, p.declared, p.spaced = inProlog, true, false
			}
		case inName, inAttr:
			q := &p.root
			if p.state == inAttr {
				q = &p.attrs[len(p.attrs)-1]
			}
			switch {
			case ch == ':' && q.colon == 0 && at > q.name.a:
				q.colon = at
				continue
			case isNameStart(ch), isNameRest(ch) && (q.colon == 0 || at > q.colon+1):
				if p.lim.Name > 0 && at-q.name.a >= p.lim.Name {
					return false, tooMuch("name")
				}
				continue
			case q.colon == at-1 && q.colon > 0: // nothing behind the colon
				return false, notWellFormed("bad name")
			}
			q.name.b = at
			if p.state == inName {
				p.state, p.spaced = inTag, false
			} else {
				if err := p.count(b); err != nil {
					return false, err
				}
				p.state = inEq
			}
			p.pos-- // look at it again
		case inTag:
			switch {
			case isSpace(ch):
				p.spaced = true
			case ch == '>':
				return true, nil
			case ch == '/':
				p.state = inSlash
			case isNameStart(ch) && p.spaced:
				p.state = inAttr
				p.attrs = append(p.attrs, qname{name: span{a: at}})
			default:
				return false, notWellFormed("bad tag")
			}
		case inEq:
			switch {
			case ch == '=':
				p.state = inQuote
			case !isSpace(ch):
				return false, notWellFormed("attribute without value")
			}
		case inQuote:
			switch {
			case ch == '\'' || ch == '"':
				p.state, p.quote = inValue, ch
				p.attrs[len(p.attrs)-1].val.a = p.pos
			case !isSpace(ch):
				return false, notWellFormed("attribute value without quotes")
			}
		case inValue:
			q := &p.attrs[len(p.attrs)-1]
			switch {
			case ch == p.quote:
				q.val.b = at
				p.state, p.spaced = inTag, false
			case ch == '<' || ch < ' ' && !isSpace(ch):
				return false, notWellFormed("bad character in an attribute")
			case ch >= utf8.RuneSelf:
				if !utf8.FullRune(b[at:]) {
					p.pos = at
					return false, nil
				}
				r, size := utf8.DecodeRune(b[at:])
				if r == utf8.RuneError && size == 1 || !isChar(r) {
					return false, notWellFormed("not UTF-8, or no XML character")
				}
				p.pos = at + size
			}
			if p.lim.Value > 0 && p.pos-q.val.a > p.lim.Value+1 {
				return false, tooMuch("attribute")
			}
		case inSlash:
			if ch != '>' {
				return false, notWellFormed("bad tag")
			}
			p.empty = true
			return true, nil
		}
	}
	return false, nil
}

// count checks the limits when an attribute's name is complete.
func (p *headerParser) count(b []byte) *Error {
	prefix, local := p.attrs[len(p.attrs)-1].split(b)
	if prefix == "xmlns" || prefix == "" && local == "xmlns" {
		p.xmlns++
	}
	if p.lim.Attrs > 0 && len(p.attrs)-p.xmlns > p.lim.Attrs || p.lim.Namespaces > 0 && p.xmlns > p.lim.Namespaces {
		return tooMuch("tag")
	}
	return nil
}

func tooMuch(what string) *Error {
	return &Error{Condition: "policy-violation", Text: "the " + what + " is too long"}
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// Names in a stream header are ASCII: no other is of any use there.
func isNameStart(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }
func isNameRest(c byte) bool  { return '0' <= c && c <= '9' || c == '-' || c == '.' }

// isChar is Char of XML 1.0 §2.2, for characters that UTF-8 can carry.
func isChar(r rune) bool {
	return r >= ' ' && r != 0xFFFE && r != 0xFFFF && r <= utf8.MaxRune && !(0xD800 <= r && r < 0xE000) ||
		r == '\t' || r == '\n' || r == '\r'
}

// checkDecl checks what stands between <?xml and the end of ?> (XML 1.0 §2.8, §4.3.3).
func checkDecl(b []byte) *Error {
	if !bytes.HasSuffix(b, []byte("?>")) {
		return notWellFormed("bad XML declaration")
	}
	b = b[:len(b)-2]
	for i, name := range [...]string{"version", "encoding", "standalone"} {
		rest := bytes.TrimLeft(b, " \t\r\n")
		if !bytes.HasPrefix(rest, []byte(name)) {
			if i == 0 {
				return notWellFormed("XML declaration without version")
			}
			continue
		}
		if len(rest) == len(b) {
			return notWellFormed("bad XML declaration")
		}
		rest = bytes.TrimLeft(rest[len(name):], " \t\r\n")
		rest, ok := bytes.CutPrefix(rest, []byte("="))
		rest = bytes.TrimLeft(rest, " \t\r\n")
		if !ok || len(rest) == 0 || rest[0] != '\'' && rest[0] != '"' {
			return notWellFormed("bad XML declaration")
		}
		value, after, ok := bytes.Cut(rest[1:], rest[:1])
		if !ok {
			return notWellFormed("bad XML declaration")
		}
		switch v := string(value); {
		case i == 0 && v != "1.0":
			return notWellFormed("XML 1.0 is needed")
		case i == 1 && !strings.EqualFold(v, "utf-8"):
			return &Error{Condition: "unsupported-encoding", Text: "UTF-8 is needed"} // RFC 6120 §11.6, §4.9.3.22
		case i == 2 && v != "yes" && v != "no":
			return notWellFormed("bad XML declaration")
		}
		b = after
	}
	if len(bytes.TrimLeft(b, " \t\r\n")) > 0 {
		return notWellFormed("bad XML declaration")
	}
	return nil
}

// unescape returns the value of an attribute: references replaced, white space normalised (XML 1.0 §2.11, §3.3.3). b has
// no bad character and no <.
func unescape(b []byte) (string, *Error) {
	if !bytes.ContainsAny(b, "&\t\r\n") {
		return string(b), nil
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		switch c := b[i]; c {
		case '\r':
			if i+1 < len(b) && b[i+1] == '\n' {
				i++
			}
			out = append(out, ' ')
		case '\t', '\n':
			out = append(out, ' ')
		case '&':
			n := bytes.IndexByte(b[i:], ';')
			if n < 0 {
				return "", notWellFormed("bad reference")
			}
			r, err := reference(string(b[i+1 : i+n]))
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
			i += n
		default:
			out = append(out, c)
		}
	}
	return string(out), nil
}

// reference returns what a character reference or one of the five entities stands for.
func reference(name string) (rune, *Error) {
	switch name {
	case "amp":
		return '&', nil
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "apos":
		return '\'', nil
	case "quot":
		return '"', nil
	}
	digits, ok := strings.CutPrefix(name, "#")
	if !ok {
		return 0, &Error{Condition: "restricted-xml", Text: "entity reference"} // RFC 6120 §11.1
	}
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || n > utf8.MaxRune || !isChar(rune(n)) {
		return 0, notWellFormed("bad character reference")
	}
	return rune(n), nil
}
