package s2s

import (
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const (
	nsDialback     = "jabber:server:dialback"              // XEP-0220
	nsDialbackFeat = "urn:xmpp:features:dialback"          // XEP-0220 §2.4
	nsBidi         = "urn:xmpp:bidi"                       // XEP-0288
	nsBidiFeat     = "urn:xmpp:features:bidi"              // XEP-0288 §2.1
	nsLimits       = "urn:xmpp:stream-limits:0"            // XEP-0478
	nsCompress     = "http://jabber.org/protocol/compress" // XEP-0138
)

// prefixes are what our stream headers declare (XEP-0220 §2.1.1).
var prefixes = []string{"db", nsDialback}

// accept reads the header of a stream that another server opens, and answers with ours and the features (RFC 6120 §4.2,
// §4.3). Ours goes out before any stream error (RFC 6120 §4.9.1.2).
func (l *link) accept() error {
	var h stream.Header
	err := l.sc.ReadHeader(&h)
	var se *stream.Error
	if err != nil && !errors.As(err, &se) {
		if err == os.ErrDeadlineExceeded {
			return errTimeout
		}
		return err
	}
	l.header = false
	l.sid = rand.Text() // RFC 6120 §4.7.3: unpredictable, new for each stream
	ours := stream.Header{ID: l.sid, To: h.From.Host(), Lang: "en", Version: "1.0", Prefixes: prefixes}
	if l.srv.hosted(h.To.Domain()) {
		ours.From = h.To.Host() // RFC 6120 §4.7.1
	}
	l.sc.WriteHeader(ours)
	if se == nil {
		se = l.acceptHeader(&h)
	}
	if se != nil {
		return se
	}
	l.lang = h.Lang
	l.name(pair{h.To.Domain(), h.From.Domain()})
	if se := l.acceptCertificate(); se != nil {
		return se
	}
	if l.state == 0 && !l.needTLS() {
		l.until(time.Duration(l.set.LoginTimeout)) // no handshake need come
	}
	if err := l.say(string(l.features())); err != nil {
		return err
	}
	if l.state&stream.Authenticated != 0 {
		l.share(pair{l.local, l.remote})
		return errFresh // what certificates needed of the stack
	}
	return nil
}

// name says which domains the stream's header names.
func (l *link) name(k pair) {
	l.local, l.remote = k.local, k.remote
	l.ends.Store(&k)
}

// acceptHeader checks what the other server says of the two ends of the stream.
func (l *link) acceptHeader(h *stream.Header) *stream.Error {
	s := l.srv
	to, from := h.To.Domain(), h.From.Domain()
	switch {
	case h.To.IsZero():
		return &stream.Error{Condition: "improper-addressing", Text: "the stream header needs a to"} // RFC 6120 §4.9.3.7
	case h.To != h.To.Host() || h.From != h.From.Host():
		return &stream.Error{Condition: "improper-addressing", Text: "servers are named by their domains"}
	case !s.hosted(to):
		return errUnknown
	case from != "" && s.hosted(from):
		return &stream.Error{Condition: "invalid-from", Text: "that domain is served here"} // RFC 6120 §4.9.3.9
	case from != "" && !s.settings.Load().policy.Allows(to, from):
		return errDenied
	case l.local != "" && l.local != to, l.remote != "" && l.remote != from:
		return &stream.Error{Condition: "not-authorized", Text: "from and to of the stream must not change"}
	case !l.certified(to):
		return &stream.Error{Condition: "host-unknown", Text: "this connection was made for another host"}
	}
	return nil
}

// certified tells whether the TLS of this connection can stand for a domain of ours. Who asked by SNI for another one of
// ours and got its certificate must not speak to this one, unless both are of one host, which shares its certificate with
// its services. Without SNI, or with a name that is none of ours, the other server has chosen to judge the certificate by
// itself.
func (l *link) certified(domain string) bool {
	cs := l.sc.TLS()
	if cs == nil || cs.ServerName == "" {
		return true
	}
	name, err := asciiDomain(domain)
	asked, err2 := stanza.NewJID("", cs.ServerName, "")
	if err != nil || err2 != nil || asked.Domain() == domain {
		return true
	}
	t := l.srv.o.Router.Owner(asked.Domain())
	if t == nil || t == l.srv.o.Router.Owner(domain) {
		return true
	}
	leaf, err := x509.ParseCertificate(l.sc.ServerCertificate())
	return err == nil && leaf.VerifyHostname(name) == nil
}

// acceptCertificate turns those away at once who have to show a valid certificate and do not. Who does not say who he is
// (XEP-0220 needs it to be said only with the key) is looked at when he does.
func (l *link) acceptCertificate() *stream.Error {
	if l.remote == "" || l.state&stream.Secure == 0 || l.state&stream.Authenticated != 0 ||
		!l.srv.settings.Load().policy.NeedCert(l.local, l.remote) {
		return nil
	}
	if err := l.certificate(l.remote); err != nil {
		l.note("server refused: its certificate is not valid for it", "why", err.Error())
		return badCertificate(err)
	}
	return nil
}

// badCertificate says what is wrong with the peer's certificate.
func badCertificate(err error) *stream.Error {
	text := "Your server's certificate is not valid for it"
	var ce *CertError
	if errors.As(err, &ce) {
		text = "Your server's certificate " + ce.Reason
	}
	return &stream.Error{Condition: "not-authorized", Text: text}
}

// needTLS tells whether the other server must use TLS. Where it has not said who it is, the rule for all holds.
func (l *link) needTLS() bool { return l.srv.settings.Load().policy.NeedTLS(l.local, l.remote) }

// features is what may be negotiated in this state of the stream.
func (l *link) features() []byte {
	dst := []byte("<stream:features>")
	if l.state&(stream.Secure|stream.Authenticated) == 0 && l.srv.o.TLS != nil {
		dst = append(dst, "<starttls xmlns='"+stanza.NSTLS+"'>"...)
		if l.needTLS() {
			dst = append(dst, "<required/>"...) // RFC 6120 §5.3.1
		}
		dst = append(dst, "</starttls>"...)
	}
	if l.state&stream.Secure != 0 || !l.needTLS() {
		if l.state&stream.Authenticated == 0 {
			if l.provable() {
				dst = append(dst, "<mechanisms xmlns='"+stanza.NSSASL+"'><mechanism>EXTERNAL</mechanism></mechanisms>"...)
			}
			dst = append(dst, "<bidi xmlns='"+nsBidiFeat+"'/>"...) // XEP-0288 §2.1
		}
		dst = append(dst, "<dialback xmlns='"+nsDialbackFeat+"'><errors/></dialback>"...) // XEP-0220 §2.4
		// XEP-0198 §2 wants it announced once the other server has authenticated. After dialback there are no features any
		// more, so who authenticates in that way has to know it from here; before that it gets nothing by it.
		dst = append(dst, "<sm xmlns='"+stanza.NSSM+"'/>"...)
	}
	if l.state&stream.Authenticated != 0 {
		dst = fmt.Appendf(dst, "<limits xmlns='"+nsLimits+"'><max-bytes>%d</max-bytes><idle-seconds>%d</idle-seconds></limits>",
			l.set.StanzaS2S, int(time.Duration(l.set.IdleTimeoutS2S).Seconds())) // XEP-0478 §3
	}
	return append(dst, "</stream:features>"...)
}

// provable tells whether SASL EXTERNAL would succeed: it is offered to nobody else (XEP-0178 §3).
func (l *link) provable() bool {
	return l.state&stream.Secure != 0 && l.remote != "" && l.certificate(l.remote) == nil
}

// negotiate deals with what comes before authentication and is neither dialback nor XEP-0198.
func (l *link) negotiate(st *stanza.Stanza) error {
	switch st.NS {
	case stanza.NSTLS:
		if st.Name == "starttls" {
			return l.startTLS()
		}
	case stanza.NSSASL:
		return l.external(st)
	case nsBidi:
		if st.Name == "bidi" && len(*l.grants.Load()) == 0 && (l.state&stream.Secure != 0 || !l.needTLS()) {
			l.bidi.Store(true) // XEP-0288 §2.2: before authentication, after TLS
			return nil
		}
	case nsCompress:
		// Compression next to encryption leaks what it compresses, so there is none (XEP-0138 §3, XEP-0170 §1.2).
		return l.say("<failure xmlns='" + nsCompress + "'><unsupported-method/></failure>")
	}
	if len(*l.grants.Load()) == 0 {
		return notAuthorized
	}
	return unsupported
}

var (
	notAuthorized = &stream.Error{Condition: "not-authorized"}          // RFC 6120 §4.9.3.12
	unsupported   = &stream.Error{Condition: "unsupported-stanza-type"} // RFC 6120 §4.9.3.24
	errClear      = &stream.Error{Condition: "policy-violation", Text: "Encrypted server-to-server communication is required"}
)
