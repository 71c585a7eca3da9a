package s2s

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// external deals with SASL of another server: EXTERNAL by its certificate, and nothing else (XEP-0178 §3).
func (l *link) external(st *stanza.Stanza) error {
	if len(*l.grants.Load()) > 0 {
		return &stream.Error{Condition: "policy-violation", Text: "already authenticated"}
	}
	name, _ := st.Attr("mechanism")
	switch {
	case st.Name == "abort": // RFC 6120 §6.4.4
		return l.saslFailure("aborted", "")
	case st.Name != "auth":
		return l.saslFailure("malformed-request", "")
	case l.state&stream.Secure == 0:
		return l.saslFailure("encryption-required", "")
	case name != byExternal:
		return l.saslFailure("invalid-mechanism", "")
	case l.remote == "":
		return l.saslFailure("invalid-authzid", "the stream header has no from") // XEP-0178 §3
	}
	authzid, ok := initialResponse(st)
	if !ok {
		return l.saslFailure("incorrect-encoding", "")
	}
	if authzid != "" {
		// XEP-0178 §3: it is empty or the same as the stream's from.
		if j, err := stanza.ParseJID(authzid); err != nil || j != j.Host() || j.Domain() != l.remote {
			return l.saslFailure("invalid-authzid", "")
		}
	}
	if err := l.certificate(l.remote); err != nil {
		l.note("server refused: its certificate is not valid for it", "why", err.Error())
		return l.saslFailure("not-authorized", "")
	}
	if se := l.allow(pair{l.local, l.remote}, byExternal); se != nil {
		return se
	}
	if err := l.say("<success xmlns='" + stanza.NSSASL + "'/>"); err != nil {
		return err
	}
	l.state |= stream.Authenticated
	l.sc.Restart() // RFC 6120 §6.4.6
	l.header = true
	return nil
}

// initialResponse decodes the data of <auth/>: "=" is an empty one (RFC 6120 §6.4.2).
func initialResponse(st *stanza.Stanza) (string, bool) {
	if len(st.Children) > 0 {
		return "", false
	}
	text := st.Root().Text
	if text == "=" {
		return "", true
	}
	if strings.ContainsAny(text, "\r\n") { // RFC 4648 §3.3: the decoder would pass over them
		return "", false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	return string(b), err == nil
}

// saslFailure answers an attempt that fails (RFC 6120 §6.4.5). There are only so many.
func (l *link) saslFailure(condition, text string) error {
	err := l.queue(func(dst []byte) []byte {
		dst = append(append(append(dst, "<failure xmlns='"+stanza.NSSASL+"'><"...), condition...), "/>"...)
		if text != "" {
			dst = append(stanza.AppendEscaped(append(dst, "<text xml:lang='en'>"...), text), "</text>"...)
		}
		return append(dst, "</failure>"...)
	})
	if err != nil {
		return err
	}
	l.note("server failed to authenticate", "method", byExternal, "condition", condition)
	if l.tries++; l.set.AuthTries > 0 && l.tries >= l.set.AuthTries {
		return &stream.Error{Condition: "policy-violation", Text: "too many failures"}
	}
	return nil
}

// errNotBelieved is why a stream ended on which the other server did not accept our certificate, and did not go on.
var errNotBelieved = errors.New("it does not accept our certificate, and ends the stream")

// prove logs in to another server by our certificate (XEP-0178 §3). It returns false where the server does not accept it;
// there may be another way.
func (l *link) prove() (bool, error) {
	// The authorization identity is sent always: there are servers that look for it.
	err := l.queue(func(dst []byte) []byte {
		dst = append(dst, "<auth xmlns='"+stanza.NSSASL+"' mechanism='EXTERNAL'>"...)
		dst = base64.StdEncoding.AppendEncode(dst, []byte(l.local))
		return append(dst, "</auth>"...)
	})
	if err != nil {
		return false, err
	}
	l.batch.Flush()
	st, err := l.next()
	switch {
	case err != nil:
		return false, err
	case st.NS != stanza.NSSASL:
		return false, fail("it answers SASL with something else", errTimedOut)
	case st.Name == "success":
		l.sc.Restart()
		return true, nil
	}
	l.note("our certificate was not accepted")
	return false, nil
}
