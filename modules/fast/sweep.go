package fast

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// sweepEvery is how often expired tokens are looked for. They are void without that.
const sweepEvery = time.Hour

// keepExpired is how long an expired token is known: a client that comes back with it hears that it has expired (RFC 6120
// §6.5.3), not that it is wrong.
const keepExpired = 30 * 24 * time.Hour

// forgotten tells whether a token expired so long ago that nobody needs to know of it any more.
func (s *slot) forgotten(now time.Time) bool { return now.After(s.Expires.Add(keepExpired)) }

// sweepExpired removes expired tokens of clients that never came back.
func (m *module) sweepExpired(ctx context.Context) {
	if err := m.removeExpired(ctx, time.Now()); err != nil && ctx.Err() == nil {
		m.h.Log.Error("expired tokens not removed", "err", err)
	}
}

// removeExpired first looks for the accounts, then deals with each in a transaction of its own, in which it looks again.
func (m *module) removeExpired(ctx context.Context, now time.Time) error {
	var accounts []string
	err := m.h.Store.KV(kvClients).Scan(ctx, nil, nil, func(key, value []byte) bool {
		local, id, _ := strings.Cut(string(key), "\x00")
		c, err := parse(id, value)
		if err == nil && slices.ContainsFunc(c.slots(), func(s *slot) bool { return s.forgotten(now) }) &&
			(len(accounts) == 0 || accounts[len(accounts)-1] != local) {
			accounts = append(accounts, local)
		}
		return ctx.Err() == nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for _, local := range accounts {
		n := 0
		err := m.change(ctx, local, func(c *client) bool {
			before := len(c.slots())
			c.filter(func(s *slot) bool { return !s.forgotten(now) })
			n += before - len(c.slots())
			return len(c.slots()) != before
		})
		switch {
		case ctx.Err() != nil, errors.Is(err, storage.ErrClosed):
			return err
		case err != nil:
			errs = append(errs, err)
			continue
		}
		if j, err := stanza.NewJID(local, m.h.Name, ""); err == nil && n > 0 {
			m.h.Log.Info("tokens removed", "account", j.String(), "tokens", n, "why", "expired")
		}
	}
	return errors.Join(errs...)
}
