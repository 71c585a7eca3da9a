package s2s

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// failure is why a stream to another server did not come about: in plain words for the log, and as senders learn it.
type failure struct {
	why    string
	answer *stanza.Error
	final  bool          // another of the domain's servers would not do better
	ended  bool          // the other server has ended the stream
	tell   *stream.Error // what the other server is told; nil: nothing
}

func (f *failure) Error() string { return f.why }

func fail(why string, answer *stanza.Error) error { return &failure{why: why, answer: answer} }

// The answers that senders get. None names the other server's addresses or its mistakes.
var (
	errNotFound   = stanza.Err(stanza.RemoteServerNotFound, "")
	errTimedOut   = stanza.Err(stanza.RemoteServerTimeout, "")
	errRestricted = stanza.Err(stanza.NotAllowed, "Communication with this domain is restricted")
	errLeaving    = stanza.Err(stanza.RemoteServerTimeout, "this server is going down")
	errTooLarge   = stanza.Err(stanza.PolicyViolation, "larger than the other server takes")
	errCrowded    = stanza.Err(stanza.ResourceConstraint, "too much waits for that server")
)

// answerTo is what senders learn of an error.
func answerTo(err error) *stanza.Error {
	var f *failure
	var theirs *theirError
	switch {
	case errors.As(err, &f):
		return f.answer
	case errors.Is(err, ErrNoServer), errors.As(err, &theirs) && theirs.condition == errUnknown.Condition:
		return errNotFound
	}
	return errTimedOut
}

// maxTargets is how many of a domain's servers are tried.
const maxTargets = 4

// open opens a stream to another server and proves who we are. It returns a link that is ready for stanzas and that
// nobody reads yet.
func (s *engine) open(ctx context.Context, k pair) (ready *link, err error) {
	err = s.visit(ctx, k, func(ctx context.Context, l *link) error {
		if err := l.authenticate(ctx, k); err != nil {
			return err
		}
		ready = l
		return nil
	})
	return ready, err
}

// visit connects to a domain's servers, one after the other, until with one of them TLS and features are as the policy
// wants them and fn succeeds. A link that has a grant by then goes on, all others end.
func (s *engine) visit(ctx context.Context, k pair, fn func(context.Context, *link) error) error {
	tried := map[Target]bool{}
	keyOnly := false
	var last error
	for range maxTargets {
		d, err := s.settings.Load().dialer.Dial(ctx, k.remote, func(t Target) bool { return tried[t] })
		if err != nil {
			if last == nil {
				last = err
			}
			return last
		}
		tried[d.Target] = true
		if !s.track() {
			d.Conn.Close()
			return fail("the server is stopping", errLeaving)
		}
		l := s.newLink(d.Conn, s.settings.Load(), true)
		l.direct, l.keyOnly = d.Target.Direct, keyOnly
		l.name(k)
		last = l.attempt(ctx, k, fn)
		if last == nil && len(*l.grants.Load()) > 0 {
			return nil // it goes on
		}
		l.abandon(last)
		if !keyOnly && errors.Is(last, errNotBelieved) && ctx.Err() == nil {
			keyOnly = true
			delete(tried, d.Target) // once more, with dialback alone
			continue
		}
		var f *failure
		if last == nil || errors.Is(last, errInvalid) || errors.As(last, &f) && f.final || ctx.Err() != nil {
			return last
		}
	}
	return last
}

// attempt brings a link to where fn does what it is for. A mistake of ours ends this link and nothing else.
func (l *link) attempt(ctx context.Context, k pair, fn func(context.Context, *link) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = l.panicked(r)
		}
	}()
	if err := l.initiate(ctx, k); err != nil {
		return err
	}
	return fn(ctx, l)
}

// abandon ends a link that nobody reads.
func (l *link) abandon(err error) {
	defer l.srv.wg.Done()
	l.leave()
	var f *failure
	var se *stream.Error
	switch {
	case errors.As(err, &f):
		l.sc.CloseWith(f.tell)
	case errors.As(err, &se):
		l.sc.CloseWith(se)
	case err == nil, errors.Is(err, errInvalid), errors.As(err, new(*theirError)):
		l.sc.CloseWith(nil)
	default:
		l.sc.Abort()
	}
}

// features are what the other server offers.
type features struct {
	starttls, external, dialback, bidi, sm bool
	maxBytes                               int // of a stanza (XEP-0478); 0: not said
}

// initiate opens the stream and brings it to where authentication begins, with TLS as the policy wants it.
func (l *link) initiate(ctx context.Context, k pair) error {
	if deadline, ok := ctx.Deadline(); ok {
		l.sc.SetReadDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, l.sc.Abort)
	defer stop()
	policy := l.srv.settings.Load().policy
	if l.direct {
		if err := l.secure(ctx); err != nil {
			return err
		}
	}
	f, err := l.greet(k)
	if err != nil {
		return err
	}
	if l.state&stream.Secure == 0 {
		switch {
		case f.starttls:
			if err := l.secure(ctx); err != nil {
				return err
			}
			if _, err = l.greet(k); err != nil {
				return err
			}
		case policy.NeedTLS(k.local, k.remote): // nothing is said in clear
			return &failure{why: "it offers no TLS", answer: errTimedOut, tell: errClear}
		}
	}
	if policy.NeedCert(k.local, k.remote) {
		if err := l.certificate(k.remote); err != nil {
			return &failure{
				why: "its certificate is not valid for it: " + err.Error(), tell: badCertificate(err),
				answer: stanza.Err(stanza.RemoteServerTimeout, "the other server's certificate is not valid for it"),
			}
		}
	}
	return nil
}

// greet sends our stream header, and reads the other server's and its features (RFC 6120 §4.3).
func (l *link) greet(k pair) (*features, error) {
	local, err := stanza.NewJID("", k.local, "")
	if err != nil {
		return nil, err
	}
	remote, err := stanza.NewJID("", k.remote, "")
	if err != nil {
		return nil, err
	}
	// No xml:lang: it would be said of every stanza that has none of its own (RFC 6120 §8.1.5), and is not known of any.
	l.sc.WriteHeader(stream.Header{From: local, To: remote, Version: "1.0", Prefixes: prefixes})
	l.sc.Flush()
	var h stream.Header
	if err := l.sc.ReadHeader(&h); err != nil {
		return nil, l.broken(err)
	}
	l.sid = h.ID
	st, err := l.next()
	if err != nil {
		return nil, err
	}
	if st.NS != stanza.NSStream || st.Name != "features" {
		return nil, fail("it sends no stream features", errTimedOut)
	}
	f := &features{
		starttls: st.Has(stanza.NSTLS, "starttls"),
		bidi:     st.Has(nsBidiFeat, "bidi"),
		sm:       st.Has(stanza.NSSM, "sm"),
	}
	// COMPAT: old servers say so by the prefix that they declare alone.
	f.dialback = st.Has(nsDialbackFeat, "dialback") || strings.Contains(strings.Join(h.Prefixes, " "), nsDialback)
	if i := st.Find(stanza.NSSASL, "mechanisms"); i >= 0 {
		for _, m := range st.Element(i).Children {
			f.external = f.external || m.Name == "mechanism" && m.Text == byExternal
		}
	}
	if i := st.Find(nsLimits, "limits"); i >= 0 {
		if n, err := strconv.Atoi(st.Element(i).ChildText("max-bytes")); err == nil && n >= 10000 { // RFC 6120 §13.12: nobody may ask for less
			f.maxBytes = n
		}
	}
	l.offered = *f
	return f, nil
}

// authenticate proves to the other server who we are: by our certificate, else by dialback. That the other server is who
// it should be was seen before: its certificate was judged where the policy wants one, and its name led here by DNS where
// not. So its stanzas may come back on this link where it agrees (XEP-0288).
func (l *link) authenticate(ctx context.Context, k pair) error {
	stop := context.AfterFunc(ctx, l.sc.Abort)
	defer stop()
	how, refused := "", false
	f := l.offered
	if f.bidi {
		if err := l.say("<bidi xmlns='" + nsBidi + "'/>"); err != nil { // XEP-0288 §2.2: before authentication
			return err
		}
	}
	if l.state&stream.Secure != 0 && f.external && !l.keyOnly {
		ok, err := l.prove()
		refused = !ok
		switch {
		case err != nil && ended(err):
			return fmt.Errorf("%w: %w", errNotBelieved, err)
		case err != nil:
			return err
		case ok:
			how = byExternal
			if _, err := l.greet(k); err != nil {
				return err
			}
		}
	}
	if how == "" {
		if !f.dialback {
			return &failure{why: "it offers no way to authenticate", answer: errTimedOut}
		}
		if err := l.request(k); err != nil {
			if refused && ended(err) {
				return fmt.Errorf("%w: %w", errNotBelieved, err)
			}
			return err
		}
		how = byDialback
	}
	l.state |= stream.Authenticated
	l.bidi.Store(f.bidi)
	if se := l.allow(k, how); se != nil {
		f := &failure{why: se.Error(), answer: errTimedOut, tell: se, final: true}
		if se == errDenied {
			f.answer = errRestricted
		}
		return f
	}
	if l.offered.sm {
		return l.enable()
	}
	return nil
}

// ended tells whether the other server has ended the stream.
func ended(err error) bool {
	var f *failure
	return errors.As(err, new(*theirError)) || errors.As(err, &f) && f.ended
}

// next reads an element while the stream is being opened.
func (l *link) next() (*stanza.Stanza, error) {
	st, err := l.sc.Read()
	if err != nil {
		return nil, l.broken(err)
	}
	if st.NS == stanza.NSStream && st.Name == "error" {
		return nil, peerError(st)
	}
	return st, nil
}

// broken puts an error of reading into plain words.
func (l *link) broken(err error) error {
	var se *stream.Error
	switch {
	case err == os.ErrDeadlineExceeded, errors.Is(err, stream.ErrClosed):
		return fail("it took too long", errTimedOut)
	case err == io.EOF:
		return &failure{why: "it closed the connection", answer: errTimedOut, ended: true}
	case err == stanza.ErrStreamEnd:
		return &failure{why: "it ended the stream", answer: errTimedOut, ended: true}
	case errors.As(err, &se):
		return &failure{why: "it does not speak XMPP as it should: " + se.Error(), answer: errTimedOut, tell: se}
	}
	return err
}

// openTime bounds the opening of a stream, with all that it takes.
func (s *engine) openTime() time.Duration { return time.Duration(s.settings.Load().LoginTimeout) }
