package authtoken

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	ns      = "erlang-solutions.com:xmpp:token-auth:0"
	nsVCard = "vcard-temp"
)

// foreign refuses requests for somebody else's tokens, before it matters whether there is such an account: the answer is the
// same either way.
func (m *module) foreign(_ context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind == stanza.KindIQ && (st.Type == stanza.TypeGet || st.Type == stanza.TypeSet) && p.To.Local() != "" &&
		p.From.Bare() != p.To && len(st.Children) > 0 && st.Children[0].NS == ns {
		return stanza.Err(stanza.Forbidden, "")
	}
	return nil
}

// query gives a session tokens for its own account. MongooseIM documents a get and does not look.
func (m *module) query(ctx context.Context, q *modules.IQ) ([]byte, error) {
	switch {
	case q.Origin == nil || !q.Own():
		return nil, stanza.Err(stanza.Forbidden, "")
	case q.Payload == nil || q.Payload.Name != "query":
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	info := q.Origin.Info()
	if info.TLS == nil {
		return nil, stanza.Err(stanza.NotAllowed, "tokens need TLS")
	}
	key, err := m.keys.GetKey(keyTokens)
	if err != nil {
		m.h.Log.Error("no tokens given", "account", q.From.Bare().String(), "err", err)
		return nil, &stanza.Error{Type: stanza.Wait, Condition: stanza.InternalServerError}
	}
	short, long, err := m.issue(ctx, q.From.Bare(), modules.CredentialsOf(info.Details))
	if err != nil {
		return nil, err
	}
	m.h.Log.Info("tokens given", append([]any{"account", q.From.Bare().String(), "until", time.Unix(int64(long.expiry)-epoch, 0).UTC()},
		modules.Audit(q.Origin)...)...)
	b := []byte("<items xmlns='" + ns + "'>")
	for _, t := range []*token{short, long} {
		b = append(b, "<"+t.kind+"_token xmlns='"+ns+"'>"...)
		b = base64.StdEncoding.AppendEncode(b, t.sign(key))
		b = append(b, "</"+t.kind+"_token>"...)
	}
	return append(b, "</items>"...), nil
}

// issue makes tokens for an account, for somebody who is in with these credentials.
func (m *module) issue(ctx context.Context, account stanza.JID, by []string) (short, long *token, err error) {
	acc, err := m.h.Users.Get(ctx, account.Local())
	if err != nil {
		return nil, nil, err
	}
	now := m.clock.now()
	validity := m.cfg.Validity
	err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
		r, err := load(tx, account.Local())
		if err != nil {
			return err
		}
		if r == nil {
			r = begin()
		}
		r.settle(acc.PasswordChanged, date(now), validity.Access.seconds())
		var others []string
		for _, ref := range by {
			if !strings.HasPrefix(ref, Kind+":") { // those of an own session are this generation's, or void
				others = append(others, ref)
			}
		}
		if !r.descend(others) {
			r.void(date(now), validity.Access.seconds())
			r.descend(others)
		}
		r.seen(now)
		short = &token{kind: access, account: account, expiry: r.issue(date(now), validity.Access.seconds())}
		long = &token{kind: refresh, account: account, expiry: date(now) + validity.Refresh.seconds(), sequence: r.Generation}
		return r.save(tx, account.Local())
	})
	return short, long, err
}
