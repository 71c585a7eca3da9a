package s2s

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/xmppd/xmppd/accept"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// dialbackKey makes the key that proves to the receiving domain that the originating one opened the stream (XEP-0185 §2).
func dialbackKey(secret []byte, receiving, originating, streamID string) string {
	hashed := sha256.Sum256(secret)
	mac := hmac.New(sha256.New, []byte(hex.EncodeToString(hashed[:])))
	mac.Write([]byte(receiving + " " + originating + " " + streamID))
	return hex.EncodeToString(mac.Sum(nil))
}

// dialback deals with an element of server dialback (XEP-0220). Requests have no type. Answers have one, and none is due
// here: those that we ask for are read by who asked (dialbackAnswer). So what comes here is made up, or came on the wrong
// stream, and is dropped (XEP-0220 §3.1).
func (l *link) dialback(st *stanza.Stanza) error {
	if _, answer := st.Attr("type"); answer {
		return nil
	}
	if l.out && !l.bidi.Load() {
		return nil
	}
	from, ok1 := domainOf(st, "from")
	to, ok2 := domainOf(st, "to")
	if !ok1 || !ok2 {
		return &stream.Error{Condition: "improper-addressing"} // RFC 6120 §4.9.3.7
	}
	k := pair{local: to, remote: from}
	if l.state&stream.Secure == 0 && l.srv.settings.Load().policy.NeedTLS(k.local, k.remote) {
		return errClear
	}
	switch {
	case st.Name == "result":
		return l.requested(k, st.Root().Text)
	case st.Name == "verify" && !l.out:
		id, _ := st.Attr("id")
		return l.authoritative(k, id, st.Root().Text)
	}
	return unsupported
}

// authoritative says whether a key is ours (XEP-0220 §2.3.2).
func (l *link) authoritative(k pair, id, key string) error {
	switch {
	case !l.srv.hosted(k.local):
		return l.answerError("verify", k, id, stanza.ItemNotFound)
	case !l.srv.settings.Load().policy.Allows(k.local, k.remote):
		return l.answerError("verify", k, id, stanza.PolicyViolation)
	}
	typ := "invalid"
	if hmac.Equal([]byte(dialbackKey(l.srv.secret.Bytes(), k.remote, k.local, id)), []byte(key)) {
		typ = "valid"
	}
	return l.answer("verify", k, id, typ)
}

// requested deals with the request to let stanzas of a pair pass (XEP-0220 §2.2.1).
func (l *link) requested(k pair, key string) error {
	s := l.srv
	set := s.settings.Load()
	refuse := func(c stanza.Condition, why string) error {
		l.note("dialback refused", "domain", k.remote, "why", why)
		return l.answerError("result", k, "", c)
	}
	switch {
	case !s.hosted(k.local):
		return refuse(stanza.ItemNotFound, "no such host here") // XEP-0220 §2.4.2
	case s.hosted(k.remote):
		return refuse(stanza.NotAcceptable, "that domain is served here")
	case !set.policy.Allows(k.local, k.remote):
		return refuse(stanza.PolicyViolation, "the policy forbids it")
	case l.granted(k.local, k.remote) != nil:
		return l.answer("result", k, "", "valid")
	}
	err := l.certificate(k.remote)
	if err == nil { // XEP-0344 §2: the certificate says it all
		return l.admit(k, byCertificate)
	}
	if set.policy.NeedCert(k.local, k.remote) {
		return refuse(stanza.NotAuthorized, err.Error())
	}
	l.mu.Lock()
	if l.pending == nil {
		l.pending = map[pair]struct{}{}
	}
	_, again := l.pending[k]
	full := again || len(l.pending) >= set.DialbackPending
	if !full {
		l.pending[k] = struct{}{}
	}
	l.mu.Unlock()
	if full {
		return refuse(stanza.ResourceConstraint, "too many keys are being verified on this stream")
	}
	from := accept.Visitor(l.sc.RemoteAddr())
	if !s.verifying.take(from) {
		l.verified(k)
		return refuse(stanza.ResourceConstraint, "too many keys are being verified")
	}
	if !s.track() {
		s.verifying.free(from)
		return errShutdown
	}
	id := l.sid
	go func() {
		defer s.wg.Done()
		defer s.verifying.free(from)
		defer l.verified(k)
		defer func() {
			if r := recover(); r != nil {
				l.sc.CloseWith(l.panicked(r).(*stream.Error))
			}
		}()
		l.judge(k, s.verify(k, id, key))
	}()
	return nil
}

// The dialback keys that are verified at once, whoever asks: each takes a connection of ours. Nobody takes them all, so that
// one whose authoritative servers never answer does not keep others out.
const (
	maxVerifying  = 256
	mostVerifying = maxVerifying / 4 // of one address, or IPv6 /64
)

// verifications counts them.
type verifications struct {
	mu  sync.Mutex
	all int
	of  map[netip.Addr]int
}

func (v *verifications) take(from netip.Addr) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.all >= maxVerifying || v.of[from] >= mostVerifying {
		return false
	}
	if v.of == nil {
		v.of = map[netip.Addr]int{}
	}
	v.all++
	v.of[from]++
	return true
}

func (v *verifications) free(from netip.Addr) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all--
	if v.of[from]--; v.of[from] == 0 {
		delete(v.of, from)
	}
}

// verified forgets a key that was being verified.
func (l *link) verified(k pair) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.pending, k)
}

// errInvalid says that the authoritative server does not know a key.
var errInvalid = errors.New("the authoritative server does not know the key")

// judge answers a request whose key has been verified, on a goroutine of its own.
func (l *link) judge(k pair, err error) {
	if err == nil {
		err = l.admit(k, byDialback)
		l.sc.Flush()
		if se := (*stream.Error)(nil); errors.As(err, &se) {
			l.sc.CloseWith(se)
		}
		return
	}
	l.note("dialback failed", "domain", k.remote, "why", err.Error())
	if errors.Is(err, errInvalid) {
		// XEP-0220 §2.2.2: who claims what is not true is gone, unless the stream is good for something else.
		l.reply("result", k, "", "invalid", "")
		if len(*l.grants.Load()) == 0 {
			l.sc.CloseWith(nil)
		}
		return
	}
	cond := stanza.RemoteServerTimeout
	var f *failure
	switch {
	case errors.Is(err, ErrNoServer):
		cond = stanza.RemoteServerNotFound
	case errors.Is(err, ErrRefused), errors.Is(err, ErrDNS):
		cond = connectionFailed
	case errors.As(err, &f) && f.answer.Condition != stanza.RemoteServerTimeout:
		cond = f.answer.Condition
	}
	l.reply("result", k, "", "error", cond)
}

// connectionFailed is a condition of XEP-0220 §2.4.2 that no other protocol has.
const connectionFailed stanza.Condition = "remote-connection-failed"

// admit lets stanzas of a pair pass and says so.
func (l *link) admit(k pair, how string) error {
	if se := l.allow(k, how); se != nil {
		return se
	}
	if err := l.reply("result", k, "", "valid", ""); err != nil {
		return err
	}
	l.share(k)
	return nil
}

func (l *link) answer(name string, k pair, id, typ string) error {
	return l.reply(name, k, id, typ, "")
}

func (l *link) answerError(name string, k pair, id string, c stanza.Condition) error {
	return l.reply(name, k, id, "error", c)
}

// reply answers a request, at once.
func (l *link) reply(name string, k pair, id, typ string, c stanza.Condition) error {
	return l.sc.Queue(l.srv.ctx, func(dst []byte) []byte {
		dst = appendDialback(dst, name, k, id, typ)
		if c == "" {
			return append(dst, "/>"...)
		}
		dst = stanza.Err(c, "").AppendTo(append(dst, '>')) // XEP-0220 §2.4.2
		return append(append(append(dst, "</db:"...), name...), '>')
	})
}

// appendDialback appends the beginning of an element, up to its > or />.
func appendDialback(dst []byte, name string, k pair, id, typ string) []byte {
	attr := func(name, value string) {
		if value != "" {
			dst = append(append(append(append(dst, ' '), name...), '='), '\'')
			dst = append(stanza.AppendEscaped(dst, value), '\'')
		}
	}
	dst = append(append(dst, "<db:"...), name...)
	attr("from", k.local)
	attr("to", k.remote)
	attr("id", id)
	attr("type", typ)
	return dst
}

// appendRequest appends a request with its key.
func appendRequest(dst []byte, name string, k pair, id, key string) []byte {
	dst = append(appendDialback(dst, name, k, id, ""), '>')
	dst = stanza.AppendEscaped(dst, key)
	return append(append(append(dst, "</db:"...), name...), '>')
}

// request asks another server to let stanzas of the link's pair pass, and waits for its word (XEP-0220 §2.1).
func (l *link) request(k pair) error {
	if l.sid == "" { // RFC 6120 §4.7.3
		return fail("its stream has no id, so there can be no key for it", errTimedOut)
	}
	key := dialbackKey(l.srv.secret.Bytes(), k.remote, k.local, l.sid)
	if err := l.queue(func(dst []byte) []byte { return appendRequest(dst, "result", k, "", key) }); err != nil {
		return err
	}
	l.batch.Flush()
	typ, cond, err := l.dialbackAnswer("result", k, "")
	switch {
	case err != nil:
		return err
	case typ == "valid":
		return nil
	case typ == "invalid": // XEP-0220 §2.1.1
		return fail("it says that our dialback key is invalid", stanza.Err(stanza.InternalServerError, "the other server does not believe this one"))
	}
	return fail("it refuses dialback: "+string(cond), errTimedOut) // XEP-0220 §2.1.1
}

// dialbackAnswer reads until the answer to a request comes; others are nobody's (XEP-0220 §3.1).
func (l *link) dialbackAnswer(name string, k pair, id string) (typ string, cond stanza.Condition, err error) {
	for {
		st, err := l.next()
		if err != nil {
			return "", "", err
		}
		typ, answer := st.Attr("type")
		if st.NS != nsDialback || st.Name != name || !answer {
			continue
		}
		from, ok1 := domainOf(st, "from")
		to, ok2 := domainOf(st, "to")
		if got, _ := st.Attr("id"); !ok1 || !ok2 || from != k.remote || to != k.local || id != "" && got != id {
			continue
		}
		if typ == "error" {
			cond = stanza.UndefinedCondition
			if e := st.Root().Child(stanza.NSServer, "error"); e != nil && len(e.Children) > 0 {
				cond = stanza.Condition(e.Children[0].Name)
			}
		}
		return typ, cond, nil
	}
}

// verify asks the authoritative server of a domain whether a key is its own (XEP-0220 §2.3.1), on a connection of its own,
// as §2.2 allows: what goes wrong there concerns nobody else.
func (s *engine) verify(k pair, id, key string) error {
	ctx, cancel := s.within(time.Duration(s.settings.Load().DialbackTimeout))
	defer cancel()
	return s.visit(ctx, k, func(ctx context.Context, l *link) error {
		err := l.queue(func(dst []byte) []byte { return appendRequest(dst, "verify", k, id, key) })
		if err != nil {
			return err
		}
		l.batch.Flush()
		typ, cond, err := l.dialbackAnswer("verify", k, id)
		switch {
		case err != nil:
			return err
		case typ == "valid":
			return nil
		case typ == "invalid":
			return errInvalid
		}
		return fail("the authoritative server says "+string(cond), errTimedOut)
	})
}
