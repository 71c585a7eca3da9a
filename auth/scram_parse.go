package auth

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// clientFirst is a client-first-message. RFC 5802 §7.
type clientFirst struct {
	gs2      string // gs2-header, with its last comma
	flag     byte   // n, y or p
	kind     string // cb-name, with flag p
	authzid  string
	bare     string // client-first-message-bare
	username string
	nonce    string
}

func parseClientFirst(in []byte) (*clientFirst, error) {
	s := string(in)
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return nil, malformed("not UTF-8")
	}
	m := new(clientFirst)
	flag, rest, ok1 := strings.Cut(s, ",")
	authzid, bare, ok2 := strings.Cut(rest, ",")
	if !ok1 || !ok2 {
		return nil, malformed("no GS2 header")
	}
	m.gs2, m.bare = s[:len(s)-len(bare)], bare

	switch {
	case flag == "n", flag == "y":
	case strings.HasPrefix(flag, "p=") && isBindingName(flag[2:]):
		m.kind = flag[2:]
	default:
		return nil, malformed("bad channel binding flag")
	}
	m.flag = flag[0]

	var ok bool
	if authzid != "" {
		if m.authzid, ok = strings.CutPrefix(authzid, "a="); ok {
			m.authzid, ok = decodeSaslname(m.authzid)
		}
		if !ok {
			return nil, malformed("bad authzid")
		}
	}

	attrs := strings.Split(bare, ",")
	if strings.HasPrefix(attrs[0], "m=") { // RFC 5802 §5.1: fatal
		return nil, malformed("mandatory extension")
	}
	if len(attrs) < 2 || !strings.HasPrefix(attrs[0], "n=") || !strings.HasPrefix(attrs[1], "r=") {
		return nil, malformed("no user name or nonce")
	}
	if m.username, ok = decodeSaslname(attrs[0][2:]); !ok {
		return nil, malformed("bad user name")
	}
	if m.nonce = attrs[1][2:]; !isPrintable(m.nonce) {
		return nil, malformed("bad nonce")
	}
	if !areExtensions(attrs[2:]) {
		return nil, malformed("bad attribute")
	}
	return m, nil
}

// clientFinal is a client-final-message. RFC 5802 §7.
type clientFinal struct {
	withoutProof string // client-final-message-without-proof
	binding      []byte
	nonce        string
	proof        []byte
}

func parseClientFinal(in []byte) (*clientFinal, error) {
	s := string(in)
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return nil, malformed("not UTF-8")
	}
	attrs := strings.Split(s, ",")
	last := len(attrs) - 1
	if last < 2 || !strings.HasPrefix(attrs[0], "c=") || !strings.HasPrefix(attrs[1], "r=") ||
		!strings.HasPrefix(attrs[last], "p=") {
		return nil, malformed("no channel binding, nonce or proof")
	}
	if !areExtensions(attrs[2:last]) {
		return nil, malformed("bad attribute")
	}
	m := &clientFinal{withoutProof: s[:len(s)-len(attrs[last])-1], nonce: attrs[1][2:]}
	var ok1, ok2 bool
	m.binding, ok1 = decodeBase64(attrs[0][2:])
	m.proof, ok2 = decodeBase64(attrs[last][2:])
	if !ok1 || !ok2 {
		return nil, malformed("bad base64")
	}
	return m, nil
}

// areExtensions checks attributes that we do not know and skip. RFC 5802 §5.1, §7: m= is fatal, and those that have a
// meaning have it in their own place only.
func areExtensions(attrs []string) bool {
	for _, a := range attrs {
		if len(a) < 3 || a[1] != '=' || !isLetter(a[0]) || strings.IndexByte("acimnprsv", a[0]) >= 0 {
			return false
		}
	}
	return true
}

// decodeSaslname undoes =2C and =3D; any other use of = is an error. RFC 5802 §5.1.
func decodeSaslname(s string) (string, bool) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '=')
		if i < 0 {
			b.WriteString(s)
			return b.String(), b.Len() > 0
		}
		b.WriteString(s[:i])
		switch {
		case strings.HasPrefix(s[i:], "=2C"):
			b.WriteByte(',')
		case strings.HasPrefix(s[i:], "=3D"):
			b.WriteByte('=')
		default:
			return "", false
		}
		s = s[i+3:]
	}
}

// decodeBase64 is strict: Go's decoder alone would skip line ends.
func decodeBase64(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// isPrintable is RFC 5802 §7's printable, which a comma cannot reach.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return s != ""
}

// isBindingName is RFC 5802 §7's cb-name.
func isBindingName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return s != ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
