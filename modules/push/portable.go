package push

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const nsPortable = modules.NSPrivate + "push"

// Claims implements modules.Portable.
func (*module) Claims() []string { return []string{nsPortable + " services"} }

// Export implements modules.Portable. The options of a service may hold a secret: they are told where secrets are wanted.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	l, err := m.services.Get(ctx, account.Local())
	if len(l) == 0 || err != nil {
		return err
	}
	var x stanza.XML
	x.Start("services", "xmlns", nsPortable)
	for _, s := range l {
		x.Start("service", "jid", s.jid.String(), "node", s.node)
		if w.Secrets {
			x.Raw(s.options)
		}
		x.End()
	}
	_, err = w.Write(x.Bytes())
	return err
}

// Import implements modules.Portable. A file may name what a client may.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	for _, c := range e.Root().Children {
		s, err := m.wanted(account.Bare(), c)
		if err != nil {
			return err
		}
		if err := m.add(ctx, account.Local(), s); err != nil {
			return err
		}
	}
	return nil
}

// add puts a service on an account's list, or gives one that is there other options.
func (m *module) add(ctx context.Context, local string, s *service) error {
	return m.services.Change(ctx, local, func(l services) (services, error) {
		next := slices.Clone(l)
		if i := l.index(s.jid, s.node); i >= 0 {
			next[i] = s
		} else if len(l) >= m.cfg.MaxServices {
			return l, stanza.Err(stanza.ResourceConstraint, "too many push services")
		} else {
			next = append(next, s)
		}
		b, err := json.Marshal(record{time.Now().UTC(), string(s.options)})
		if err != nil {
			return nil, err
		}
		return next, m.h.Store.KV(kvServices).Put(ctx, s.key(local), append([]byte{format}, b...))
	})
}
