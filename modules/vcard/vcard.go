// Package vcard is mod_vcard: vCards (XEP-0054), and the picture in them, which is the avatar that mod_pep keeps (XEP-0398).
//
// # Implementation notes
//
//   - A vCard is stored without the picture; that is put in when somebody asks who may see the avatar. So there is one
//     picture, and whatever a client does to it in one way is seen in the other.
//   - Without mod_pep the picture stays in the vCard.
package vcard

import (
	"context"
	"errors"
	"fmt"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	ns       = "vcard-temp"
	nsUpdate = "vcard-temp:x:update" // XEP-0153
)

// Config is [modules.mod_vcard].
type Config struct {
	Size config.Size `toml:"size" doc:"largest vCard, with its picture"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.Size < 1 {
		errs.Add("size", "must be at least 1, is %d", c.Size)
	}
}

// Info describes mod_vcard.
var Info = modules.Define(modules.Info{
	Name:    "mod_vcard",
	Summary: "vCards, and the avatars in them",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 54, Version: "1.3.0"},
		{Number: 153, Version: "1.1.1", Note: "a new picture is in presence from the next presence on"},
		{Number: 292, Version: "0.12.0", Note: "as a node of mod_pep; the server does not translate between it and XEP-0054"},
		{Number: 398, Version: "1.0.0"},
	},
}, Config{Size: 128 << 10}, func(c Config) modules.Module { return &module{cfg: c} })

type module struct {
	cfg Config
	h   *modules.Host
	kv  storage.KV  // localpart: vCard
	pep pep.Service // nil: there is none
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h, m.kv = h, h.Store.KV("vcards")
	m.pep, _ = modules.Find[pep.Service](h)
	h.IQ(modules.Account, ns, m.query)
	h.Disco(modules.Server, ns)
	h.Disco(modules.Account, ns) // XEP-0054 §4
	if m.pep != nil {
		h.Disco(modules.Account, "urn:xmpp:pep-vcard-conversion:0") // XEP-0398 §2
		h.Hooks.Outgoing.On(modules.Amend, m.outgoing)
	}
	h.Hooks.ToBare.On(modules.Check, m.others)
	h.Hooks.UserCreated.On(modules.Keep, m.forget)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	modules.Provide(h, m)
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error { return nil }

// others refuses to change another's vCard (XEP-0054 §3.2), whether there is such an account or not.
func (m *module) others(_ context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind == stanza.KindIQ && st.Type == stanza.TypeSet && p.To.Local() != "" && p.From.Bare() != p.To && st.Has(ns, "") {
		return stanza.Err(stanza.Forbidden, "")
	}
	return nil
}

// unavailable is what others get where there is nothing: the same as for an account that does not exist (XEP-0054 §3.3).
var unavailable = stanza.Err(stanza.ServiceUnavailable, "")

// query answers for an account (XEP-0054 §3).
func (m *module) query(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Payload.Name != "vCard" {
		if !q.Own() {
			return nil, unavailable
		}
		return nil, stanza.Err(stanza.FeatureNotImplemented, "")
	}
	if q.Set() {
		return nil, m.store(ctx, q.To.Bare(), q.From, q.Stanza.Copy(q.Stanza.Find(ns, "vCard")), true)
	}
	b, err := m.read(ctx, q.To.Bare(), q.From)
	if err == nil && b == nil {
		if q.Own() {
			return nil, stanza.Err(stanza.ItemNotFound, "") // §3.1
		}
		return nil, unavailable
	}
	return b, err
}

// SetVCard makes XML the vCard of an account, on behalf of the account. One without a picture leaves the avatar as it is: who
// wrote it did not know of that.
func (m *module) SetVCard(ctx context.Context, account stanza.JID, vcard []byte) error {
	e, err := stanza.Parse(vcard)
	if err != nil || e.NS != ns || e.Name != "vCard" {
		return errors.New("vcard: not a vCard")
	}
	return m.store(ctx, account.Bare(), account.Bare(), vcard, false)
}

// store takes a vCard, and the picture in it to the avatar's place. Without one there is no avatar any more, if the vCard says
// all that there is: its author saw the picture in the one before.
func (m *module) store(ctx context.Context, owner, by stanza.JID, vcard []byte, all bool) error {
	if len(vcard) > int(m.cfg.Size) {
		return stanza.Err(stanza.ResourceConstraint, "the vCard is larger than it may be")
	}
	if m.pep != nil {
		st, err := stanza.Parse(vcard)
		if err != nil {
			return err
		}
		if p := takePicture(st); p != nil || all {
			if err := m.setAvatar(ctx, owner, by, p); err != nil {
				return err
			}
		}
		vcard = st.AppendTo(nil)
	}
	if err := m.kv.Put(ctx, []byte(owner.Local()), vcard); err != nil {
		return fmt.Errorf("store vCard: %w", err)
	}
	if ok, err := m.h.Users.Exists(ctx, owner.Local()); err == nil && !ok {
		m.forget(ctx, owner) // deleted meanwhile: what came too late goes too
	}
	return nil
}

// read returns an account's vCard as somebody may see it, or nil.
func (m *module) read(ctx context.Context, owner, reader stanza.JID) ([]byte, error) {
	b, err := m.kv.Get(ctx, []byte(owner.Local()))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		return nil, fmt.Errorf("read vCard: %w", err)
	}
	if m.pep == nil {
		return b, nil
	}
	a, err := m.avatar(ctx, owner, reader)
	if err != nil || a == nil {
		return b, err
	}
	if b == nil {
		b = []byte("<vCard xmlns='" + ns + "'/>")
	}
	st, err := stanza.Parse(b)
	if err != nil {
		return nil, err
	}
	for i := st.Find(ns, "PHOTO"); i >= 0; i = st.FindNext(i, ns, "PHOTO") {
		st.Drop(i) // an address of a picture, or what could not be read as one
	}
	st.Add(a.photo())
	return st.AppendTo(nil), nil
}

// forget removes an account's vCard.
func (m *module) forget(ctx context.Context, owner stanza.JID) {
	if err := m.kv.Delete(ctx, []byte(owner.Local())); err != nil {
		m.h.Log.Error("vCard of an account not removed", "user", owner.Local(), "err", err)
	}
}
