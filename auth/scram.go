package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/stanza"
)

// scram is the server side of one SCRAM mechanism of a host. RFC 5802, RFC 7677.
type scram struct {
	users *users
	hash  string
	plus  bool
}

// scramState is what the second step needs of the first. There are no keys in it: they are read again, so that a password
// changed in between is no longer good.
type scramState struct {
	account     stanza.JID
	clientFirst string // client-first-message-bare
	serverFirst string
	nonce       string // client's and server's
	binding     []byte // what c= has to be: GS2 header and channel binding data
}

func (s *scram) name() string {
	if s.plus {
		return "SCRAM-" + s.hash + "-PLUS"
	}
	return "SCRAM-" + s.hash
}

func (s *scram) offer(c *Conn) bool {
	return s.users.accounts.offers(s.hash) && (!s.plus || len(Bindings(c)) > 0)
}

func (s *scram) server(x *Exchange) sasl.Mechanism {
	return sasl.Mechanism{Name: s.name(), Next: func(_ *sasl.Negotiator, in []byte, state any) (bool, []byte, any, error) {
		if st, ok := state.(*scramState); ok {
			out, err := s.final(x, in, st)
			return false, out, nil, err
		}
		out, st, err := s.first(x, in)
		return true, out, st, err
	}}
}

// first answers client-first-message with server-first-message. RFC 5802 §5.
func (s *scram) first(x *Exchange, in []byte) ([]byte, *scramState, error) {
	m, err := parseClientFirst(in)
	if err != nil {
		return nil, nil, err
	}
	data, err := s.bind(x, m)
	if err != nil {
		return nil, nil, err
	}
	j, err := s.users.identify(x, s.name(), m.username, m.authzid)
	if err != nil {
		return nil, nil, err
	}
	l, err := s.users.lookup(x.Context(), j.Local(), s.hash)
	if err != nil {
		return nil, nil, err
	}
	st := &scramState{
		account:     j,
		clientFirst: m.bare,
		nonce:       m.nonce + x.nonce(),
		binding:     append([]byte(m.gs2), data...),
	}
	st.serverFirst = "r=" + st.nonce + ",s=" + base64.StdEncoding.EncodeToString(l.Salt) + ",i=" + strconv.Itoa(l.Iterations)
	if h := s.announced(x.Conn); h != "" {
		st.serverFirst += ",h=" + h
	}
	return []byte(st.serverFirst), st, nil
}

// final checks client-final-message and answers with server-final-message. RFC 5802 §3, §5.
func (s *scram) final(x *Exchange, in []byte, st *scramState) ([]byte, error) {
	m, err := parseClientFinal(in)
	if err != nil {
		return nil, err
	}
	l, err := s.users.lookup(x.Context(), st.account.Local(), s.hash)
	if err != nil {
		return nil, err
	}
	h, _ := hashFunc(s.hash)
	message := st.clientFirst + "," + st.serverFirst + "," + m.withoutProof
	clientKey := hmacOf(h, l.stored, message) // ClientSignature as yet
	ok := hmac.Equal(m.binding, st.binding)   // RFC 5802 §6
	ok = hmac.Equal([]byte(m.nonce), []byte(st.nonce)) && ok
	ok = len(m.proof) == len(clientKey) && ok
	subtle.XORBytes(clientKey, clientKey, m.proof)
	ok = hmac.Equal(sumOf(h, clientKey), l.stored) && ok
	signature := hmacOf(h, l.server, message)
	switch {
	case !ok || !l.known:
		return nil, &Failure{Condition: NotAuthorized}
	case l.disabled:
		return nil, &Failure{Condition: AccountDisabled}
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), nil
}

// bind checks the client's word on channel binding and returns the data to bind to. RFC 5802 §6.
func (s *scram) bind(x *Exchange, m *clientFirst) ([]byte, error) {
	switch {
	case m.flag == 'p' && s.plus:
		data, err := x.binding(x.Conn, m.kind)
		if err != nil {
			return nil, &Failure{Condition: NotAuthorized, Text: "this channel binding is not offered", Cause: err, Untried: true}
		}
		return data, nil
	case m.flag == 'p':
		return nil, &Failure{Condition: NotAuthorized, Text: "channel binding needs a -PLUS mechanism"}
	case s.plus:
		return nil, &Failure{Condition: NotAuthorized, Text: "a -PLUS mechanism needs channel binding"}
	case m.flag == 'y' && slices.ContainsFunc(x.Conn.Mechanisms, bindsChannel):
		// The client could, and believes that we cannot: somebody took -PLUS out of the list on its way.
		return nil, &Failure{Condition: NotAuthorized, Text: "channel binding was offered", Untried: true}
	}
	return nil, nil
}

func bindsChannel(mechanism string) bool {
	return strings.HasPrefix(mechanism, "SCRAM-") && strings.HasSuffix(mechanism, "-PLUS")
}

// announced is the hash over what this stream announced, by which the client sees whether it came through unchanged; empty
// if nothing was. XEP-0474 §2.1.
func (s *scram) announced(c *Conn) string {
	if len(c.Mechanisms) == 0 {
		return ""
	}
	list := strings.Join(slices.Sorted(slices.Values(c.Mechanisms)), "\x1e")
	if len(c.Bindings) > 0 {
		list += "\x1f" + strings.Join(slices.Sorted(slices.Values(c.Bindings)), "\x1e")
	}
	h, _ := hashFunc(s.hash)
	return base64.StdEncoding.EncodeToString(sumOf(h, []byte(list)))
}

// newNonce returns over 128 random bits in letters and digits. RFC 5802 §5.1: printable, no comma.
func newNonce() string { return rand.Text() }
