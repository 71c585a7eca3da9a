package clientcerts

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// sweepEvery is how often expired certificates are looked for.
const sweepEvery = time.Hour

// sweepExpired removes expired certificates (XEP-0257 §2.3 lets the server do that).
func (m *module) sweepExpired(ctx context.Context) {
	if err := m.removeExpired(ctx, time.Now()); err != nil && ctx.Err() == nil {
		m.h.Log.Error("expired certificates not removed", "err", err)
	}
}

// removeExpired removes what expired long enough ago. Disabled ones need not be remembered any longer than they are valid.
func (m *module) removeExpired(ctx context.Context, now time.Time) error {
	old := map[string][]fingerprint{}
	over := func(c *certificate) bool {
		keep := time.Duration(m.cfg.RemoveExpiredAfter)
		if c.Disabled {
			return c.Expires.Before(now)
		}
		return keep > 0 && c.Expires.Add(keep).Before(now)
	}
	err := m.h.Store.KV(kvCerts).Scan(ctx, nil, nil, func(key, value []byte) bool {
		local, fp, _ := strings.Cut(string(key), "\x00")
		c, err := parseRecord([]byte(fp), value)
		if err == nil && over(c) {
			old[local] = append(old[local], c.print)
		}
		return ctx.Err() == nil
	})
	if err != nil {
		return err
	}
	for local, list := range old {
		account, err := stanza.NewJID(local, m.h.Name, "")
		if err != nil {
			return fmt.Errorf("certificate of nobody: %w", err)
		}
		for _, fp := range list {
			var gone *certificate
			err := m.change(ctx, local, func(l *certs) error {
				gone = l.find(func(c *certificate) bool { return c.print == fp && over(c) })
				if gone == nil {
					return nil
				}
				return l.remove(gone)
			})
			if err != nil {
				return err
			}
			if gone != nil {
				m.audit("certificate removed", account, gone, "why", "expired")
			}
		}
	}
	return nil
}
