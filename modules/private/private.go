// Package private keeps XML that clients store for themselves (XEP-0049). Bookmarks, which newer clients publish, are kept by
// mod_bookmarks, so that both see the same.
package private

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const ns = "jabber:iq:private"

// Config is [modules.mod_private].
type Config struct {
	Size config.Size `toml:"size" doc:"what one account may store, all together"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.Size < 1 {
		errs.Add("size", "must be at least 1, is %d", c.Size)
	}
}

// Info describes mod_private.
var Info = modules.Define(modules.Info{
	Name:    "mod_private",
	Summary: "keeps data that clients store for themselves",
	Default: true,
	XEPs:    []modules.XEP{{Number: 49, Version: "1.2", Note: "no namespace is reserved"}},
}, Config{Size: 256 << 10}, func(c Config) modules.Module { return &module{cfg: c} })

// Keeper is a service of modules that keep one kind of private data in their own way.
type Keeper interface {
	Keeps(ns, name string) bool
	// LoadPrivate returns the data as one element, or nil where it has none.
	LoadPrivate(ctx context.Context, owner stanza.JID) ([]byte, error)
	// StorePrivate takes data, one element that stands on its own, from one of the owner's sessions. rest stores what came with
	// it: it is called when nothing but the store can refuse data any more, and before data is stored; its error refuses data too.
	StorePrivate(ctx context.Context, owner, by stanza.JID, data []byte, rest func() error) error
}

// Service is what other modules may ask: that there is private data at all, and for it.
type Service interface {
	// Private returns what is stored of an account under a namespace and a name, or nil.
	Private(ctx context.Context, owner stanza.JID, ns, name string) ([]byte, error)
}

type module struct {
	cfg Config
	h   *modules.Host
	kv  storage.KV // localpart 0 namespace 0 name: XML
}

const kvData = "data"

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h, m.kv = h, h.Store.KV(kvData)
	h.IQ(modules.Account, ns, m.query)
	h.Disco(modules.Server, ns)
	h.Hooks.ToBare.On(modules.Check, m.others)
	h.Hooks.UserCreated.On(modules.Keep, m.forget)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	modules.Provide[Service](h, m)
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error { return nil }

func ownerKey(local string) []byte { return append([]byte(local), 0) }

func key(local, ns, name string) []byte {
	return append(append(append(ownerKey(local), ns...), 0), name...)
}

// maxName is the longest namespace and name, in bytes.
const maxName = 1024

// storable tells whether an element has a namespace of its own, by which it is found again.
func storable(c *stanza.Element) bool {
	return c.NS != ns && c.NS != "" && len(c.NS) <= maxName && len(c.Name) <= maxName && !strings.ContainsRune(c.NS, 0)
}

// others refuses what is another's (XEP-0049 §3), whether there is such an account or not.
func (m *module) others(_ context.Context, p *modules.Packet) error {
	st := p.Stanza
	request := st.Kind == stanza.KindIQ && (st.Type == stanza.TypeGet || st.Type == stanza.TypeSet)
	if request && p.To.Local() != "" && p.From.Bare() != p.To && st.Has(ns, "") {
		return stanza.Err(stanza.Forbidden, "")
	}
	return nil
}

func (m *module) query(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if q.Payload.Name != "query" {
		return nil, stanza.Err(stanza.FeatureNotImplemented, "")
	}
	list := q.Payload.Children
	for _, c := range list {
		if !storable(c) {
			return nil, stanza.Err(stanza.NotAcceptable, "an element has no namespace of its own") // §2.3
		}
	}
	if q.Set() {
		return nil, m.set(ctx, q, list)
	}
	if len(list) != 1 { // §2.3, §3
		return nil, stanza.Err(stanza.BadRequest, "ask for one element")
	}
	return m.get(ctx, q.To.Bare(), list[0])
}

// get returns what was stored under an element's name (XEP-0049 §2.1), or an empty element.
func (m *module) get(ctx context.Context, owner stanza.JID, el *stanza.Element) ([]byte, error) {
	b, err := m.Private(ctx, owner, el.NS, el.Name)
	if err != nil {
		return nil, err
	}
	if b == nil {
		b = (&stanza.Element{NS: el.NS, Name: el.Name}).AppendTo(nil, ns)
	}
	var x stanza.XML
	return x.Start("query", "xmlns", ns).Raw(b).Bytes(), nil
}

// keeper returns who keeps an element, or nil: we do.
func (m *module) keeper(ns, name string) Keeper {
	for _, k := range modules.FindAll[Keeper](m.h) {
		if k.Keeps(ns, name) {
			return k
		}
	}
	return nil
}

// Private implements Service.
func (m *module) Private(ctx context.Context, owner stanza.JID, ns, name string) ([]byte, error) {
	if k := m.keeper(ns, name); k != nil {
		if b, err := k.LoadPrivate(ctx, owner); b != nil || err != nil {
			return b, err
		}
	}
	b, err := m.kv.Get(ctx, key(owner.Local(), ns, name))
	if errors.Is(err, storage.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read private data: %w", err)
	}
	return b, nil
}

// set stores elements, each in the place of what was there under its name (XEP-0049 §2.1).
func (m *module) set(ctx context.Context, q *modules.IQ, list []*stanza.Element) error {
	if len(list) == 0 {
		return stanza.Err(stanza.NotAcceptable, "there is nothing to store") // §2.3
	}
	at := q.Stanza.Find(ns, "query")
	return m.store(ctx, q.To.Bare(), q.From, list, func(i int) []byte { return q.Stanza.Copy(at, i) })
}

// store stores elements, all of them or, where one is refused, none. raw gives one as it stands alone; by is whose doing it is.
func (m *module) store(ctx context.Context, owner, by stanza.JID, list []*stanza.Element, raw func(i int) []byte) error {
	data := map[string][]byte{}
	var keeper Keeper
	var kept []byte
	for i, c := range list {
		if k := m.keeper(c.NS, c.Name); k != nil {
			if keeper != nil { // they keep it each by itself: of two, one could be refused when the other is stored
				return stanza.Err(stanza.NotAcceptable, "there is another element that is stored in a request of its own")
			}
			keeper, kept = k, raw(i)
			continue
		}
		k := string(key(owner.Local(), c.NS, c.Name))
		data[k] = append(data[k], raw(i)...) // §2.3: several of one name belong together
	}
	ours := func() error { return m.put(ctx, owner, data) }
	if keeper != nil {
		return keeper.StorePrivate(ctx, owner, by, kept, ours)
	}
	return ours()
}

// put stores what no other module keeps, as far as there is room for all of it.
func (m *module) put(ctx context.Context, owner stanza.JID, data map[string][]byte) error {
	if len(data) == 0 {
		return nil
	}
	err := m.h.Store.Update(ctx, func(tx storage.Tx) error {
		kv := tx.KV(kvData)
		prefix := ownerKey(owner.Local())
		size := 0
		err := kv.Scan(prefix, nil, func(key, value []byte) bool {
			if data[string(key)] == nil {
				size += len(key) + len(value)
			}
			return true
		})
		if err != nil {
			return err
		}
		for k, v := range data {
			size += len(k) + len(v)
		}
		if size > int(m.cfg.Size) {
			return stanza.Err(stanza.ResourceConstraint, "the account has stored as much private data as it may")
		}
		for k, v := range data {
			if err := kv.Put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if ok, err := m.h.Users.Exists(ctx, owner.Local()); err == nil && !ok {
		m.forget(ctx, owner) // deleted meanwhile: what came too late goes too
	}
	return nil
}

// forget removes all that an account stored.
func (m *module) forget(ctx context.Context, owner stanza.JID) {
	err := storage.DeletePrefix(ctx, m.h.Store, ownerKey(owner.Local()), kvData)
	if err != nil {
		m.h.Log.Error("private data of an account not removed", "user", owner.Local(), "err", err)
	}
}

var _ Service = (*module)(nil)
