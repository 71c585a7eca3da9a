package register

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// names is where the names of deleted accounts lie, with the time of their end.
const names = "names"

// keepName remembers the name of a deleted account, so that nobody can step into its place at once and get what was meant
// for the one who left.
func (m *module) keepName(ctx context.Context, j stanza.JID) {
	if m.cfg.KeepNames == 0 || modules.IsUndo(ctx) {
		return
	}
	at, _ := time.Now().UTC().MarshalBinary()
	if err := m.h.Store.KV(names).Put(ctx, []byte(j.Local()), at); err != nil {
		m.h.Log.Error("name of a deleted account not kept", "account", j.String(), "err", err)
	}
}

// Names is a service for modules that make accounts for clients: the names that are not to be had.
type Names interface {
	// Kept tells whether a name is that of an account deleted not long ago.
	Kept(ctx context.Context, local string) (bool, error)
}

// Kept implements Names.
func (m *module) Kept(ctx context.Context, local string) (bool, error) { return m.kept(ctx, local) }

// kept tells whether a name is that of an account deleted not long ago.
func (m *module) kept(ctx context.Context, local string) (bool, error) {
	v, err := m.h.Store.KV(names).Get(ctx, []byte(local))
	if errors.Is(err, storage.ErrNotFound) {
		return false, nil
	}
	return err == nil && m.early(v), err
}

// early tells whether a name is to be kept yet.
func (m *module) early(value []byte) bool {
	var at time.Time
	return at.UnmarshalBinary(value) == nil && time.Since(at) < time.Duration(m.cfg.KeepNames)
}

// sweepEvery is how often names whose time is over are looked for. They can be had without that.
const sweepEvery = time.Hour

// sweepNames forgets the names whose time is over: who was here is nobody's business for longer than that.
func (m *module) sweepNames(ctx context.Context) {
	kv := m.h.Store.KV(names)
	var old [][]byte
	err := kv.Scan(ctx, nil, nil, func(k, v []byte) bool {
		if !m.early(v) {
			old = append(old, slices.Clone(k))
		}
		return true
	})
	for _, k := range old {
		if err == nil {
			err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
				v, err := tx.KV(names).Get(k)
				if err != nil || v == nil || m.early(v) { // deleted anew meanwhile
					return err
				}
				return tx.KV(names).Delete(k)
			})
		}
	}
	if err != nil && ctx.Err() == nil {
		m.h.Log.Error("names of deleted accounts not cleared away", "err", err)
	}
}
