package authtoken

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/hex"
	"strconv"

	"github.com/xmppd/xmppd/stanza"
)

// The types of tokens of X-OAUTH.
const (
	access    = "access"    // lets in, for an hour or so
	refresh   = "refresh"   // lets in and gets an access token, until it is revoked
	provision = "provision" // an application says who somebody is
)

// token is what a token says:
//
//	access    NUL jid NUL expiry              NUL mac
//	refresh   NUL jid NUL expiry NUL sequence NUL mac
//	provision NUL jid NUL expiry NUL vcard    NUL mac
//
// The MAC is HMAC-SHA-384 in lower-case hex over all before the last NUL, numbers are decimal, expiry counts seconds since
// the year 0.
type token struct {
	kind     string
	account  stanza.JID // bare
	expiry   uint64
	sequence uint64 // of a refresh token: the generation
	vcard    []byte // of a provision token
}

// sign writes a token with its MAC.
func (t *token) sign(key []byte) []byte {
	b := append([]byte(t.kind), 0)
	b = append(t.account.AppendTo(b), 0)
	b = strconv.AppendUint(b, t.expiry, 10)
	switch t.kind {
	case refresh:
		b = strconv.AppendUint(append(b, 0), t.sequence, 10)
	case provision:
		b = append(append(b, 0), t.vcard...)
	}
	return hex.AppendEncode(append(b, 0), mac(key, b))
}

func mac(key, body []byte) []byte {
	h := hmac.New(sha512.New384, key)
	h.Write(body)
	return h.Sum(nil)
}

// letter is a token that arrived: what is signed, in its parts, and the signature. Nothing of it is to be believed.
type letter struct {
	body   []byte
	mac    []byte
	fields [][]byte // of body
}

// open takes a token apart. What is checked here depends on what was sent alone.
func open(raw []byte) (*letter, error) {
	i := bytes.LastIndexByte(raw, 0)
	if i < 0 {
		return nil, errSyntax
	}
	l := &letter{body: raw[:i]}
	digits := raw[i+1:]
	if len(digits) != 2*sha512.Size384 || bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' && r < 'a' || r > 'f' }) {
		return nil, errSyntax
	}
	l.mac, _ = hex.DecodeString(string(digits))
	l.fields = bytes.Split(l.body, []byte{0})
	want := map[string]int{access: 3, refresh: 4, provision: 4}[l.kind()]
	if want == 0 || len(l.fields) != want {
		return nil, errSyntax
	}
	return l, nil
}

func (l *letter) kind() string { return string(l.fields[0]) }

// account is whose token it claims to be, on a host: a JID, bare or full (MongooseIM writes either), written as it is
// prepared.
func (l *letter) account(host string) (stanza.JID, bool) {
	j, err := stanza.ParseJID(string(l.fields[1]))
	ok := err == nil && j.Local() != "" && j.Domain() == host && j.String() == string(l.fields[1])
	return j.Bare(), ok
}

// signed tells whether one of the keys made the MAC, all of which are tried.
func (l *letter) signed(keys [][]byte) bool {
	ok := false
	for _, k := range keys {
		ok = hmac.Equal(mac(k, l.body), l.mac) || ok
	}
	return ok
}

// read reads what a signed token says.
func (l *letter) read(host string) (*token, error) {
	t := &token{kind: l.kind()}
	var ok bool
	if t.account, ok = l.account(host); !ok {
		return nil, errHost
	}
	if t.expiry, ok = number(l.fields[2]); !ok {
		return nil, errSyntax
	}
	switch t.kind {
	case refresh:
		if t.sequence, ok = number(l.fields[3]); !ok {
			return nil, errSyntax
		}
	case provision:
		t.vcard = l.fields[3]
		if !isVCard(t.vcard) {
			return nil, errVCard
		}
	}
	return t, nil
}

// number reads a decimal number in the one form that it is written in.
func number(b []byte) (uint64, bool) {
	n, err := strconv.ParseUint(string(b), 10, 63)
	return n, err == nil && string(b) == strconv.FormatUint(n, 10)
}

// maxVCardDepth is far more than XEP-0054 nests.
const maxVCardDepth = 8

// isVCard tells whether XML is one vCard (XEP-0054): by the rules of the stream, without document type and the like.
func isVCard(xml []byte) bool {
	e, err := stanza.ParseElement(xml)
	return err == nil && e.NS == nsVCard && e.Name == "vCard" && depth(e, maxVCardDepth+1) <= maxVCardDepth
}

// depth counts levels, up to a limit.
func depth(e *stanza.Element, limit int) int {
	if limit == 0 {
		return 0
	}
	deepest := 0
	for _, c := range e.Children {
		deepest = max(deepest, depth(c, limit-1))
	}
	return 1 + deepest
}
