// Package last is mod_last: when an account was last online, and how long the server runs (XEP-0012). Presence with last
// activity in it (XEP-0256) is the clients' business; mod_roster stamps what it sends later with the time (XEP-0203), which
// is what makes it readable.
package last

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const ns = "jabber:iq:last"

const store = "logouts"

// statusSize is how much of a last status text is kept, in bytes.
const statusSize = 1024

// Config is [modules.mod_last]; there is nothing to set.
type Config struct{}

// Info describes mod_last.
var Info = modules.Define(modules.Info{
	Name:    "mod_last",
	Summary: "when an account was last online, and how long the server runs",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 12, Version: "2.0"},
		{Number: 256, Version: "1.1"},
	},
}, Config{}, func(Config) modules.Module { return &module{} })

type module struct {
	h       *modules.Host
	kv      storage.KV                     // localpart: record of when and how its last session went
	later   *storage.Later[string, []byte] // records on their way there
	roster  roster.Service
	started time.Time
}

// writeDelay is how long a record may wait to be written. Nobody was promised it, and a commit for each session that ends
// would cost more than its login.
const writeDelay = 5 * time.Second

// Start registers all that the module offers.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	svc, err := modules.Find[roster.Service](h)
	if err != nil {
		return err
	}
	m.h, m.kv, m.roster, m.started = h, h.Store.KV(store), svc, time.Now()
	m.later = storage.NewLater(writeDelay, m.write)
	h.IQ(modules.Server, ns, m.uptime)
	h.IQ(modules.Account, ns, m.account)
	h.Disco(modules.Server, ns)
	h.Hooks.ToFull.On(modules.Check, m.toSession)
	h.Hooks.Presence.On(modules.Keep, m.presence)
	h.Hooks.UserCreated.On(modules.Keep, m.forget)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop writes what waits for it.
func (m *module) Stop(context.Context) error {
	m.later.Close()
	return nil
}

// refused is the answer to those who may not know. XEP-0012 §3 asks for forbidden, but that would tell an account that
// exists from one that does not: this is what the router answers for the latter.
var refused = stanza.Err(stanza.ServiceUnavailable, "")

// uptime answers for the server (XEP-0012 §5).
func (m *module) uptime(_ context.Context, q *modules.IQ) ([]byte, error) {
	if q.Set() {
		return nil, refused
	}
	return answer(time.Since(m.started), ""), nil
}

// account answers for an account (XEP-0012 §3).
func (m *module) account(ctx context.Context, q *modules.IQ) ([]byte, error) {
	owner := q.To.Bare()
	if q.Set() || !m.roster.Subscribed(ctx, owner, q.From) {
		return nil, refused
	}
	for _, s := range m.h.Router.Sessions(owner) {
		if s.Presence() != nil {
			return answer(0, ""), nil
		}
	}
	b, err := m.read(ctx, owner.Local())
	if errors.Is(err, storage.ErrNotFound) {
		return nil, refused // never seen: there is nothing to say
	}
	if err != nil {
		return nil, fmt.Errorf("read last logout: %w", err)
	}
	at, status, err := parse(b)
	if err != nil {
		return nil, err
	}
	return answer(time.Since(at), status), nil
}

// toSession keeps requests of those who may not see a user's presence from the user's client (XEP-0012 §4). The answer is
// that for a resource that does not exist.
func (m *module) toSession(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindIQ || st.Type != stanza.TypeGet || !st.Has(ns, "query") {
		return nil
	}
	if !m.roster.Subscribed(ctx, p.To, p.From) {
		return refused
	}
	return nil
}

// presence notes when the last available session of an account goes.
func (m *module) presence(_ context.Context, ev modules.Presence) {
	if ev.Stanza.Type != stanza.TypeUnavailable || ev.Was == nil {
		return
	}
	owner := ev.Session.JID().Bare()
	for _, s := range m.h.Router.Sessions(owner) {
		if s != ev.Session && s.Presence() != nil {
			return
		}
	}
	m.later.Put(owner.Local(), record(time.Now(), ev.Stanza.Text("status")))
}

// read returns a record, or ErrNotFound.
func (m *module) read(ctx context.Context, local string) ([]byte, error) {
	if b, ok := m.later.Get(local); ok {
		return b, nil
	}
	return m.kv.Get(ctx, []byte(local))
}

// write stores records.
func (m *module) write(all map[string][]byte) {
	err := m.h.Store.Update(context.Background(), func(tx storage.Tx) error {
		for local, b := range all {
			if err := tx.KV(store).Put([]byte(local), b); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		m.h.Log.Error("last logouts not stored", "users", len(all), "err", err)
	}
}

// forget removes what is kept of an account.
func (m *module) forget(ctx context.Context, owner stanza.JID) {
	m.later.Forget(owner.Local())
	if err := m.kv.Delete(ctx, []byte(owner.Local())); err != nil && !errors.Is(err, storage.ErrNotFound) {
		m.h.Log.Error("last logout not removed", "user", owner.Local(), "err", err)
	}
}

// answer makes the query element. A clock that went back gives 0.
func answer(d time.Duration, status string) []byte {
	var x stanza.XML
	sec := max(int64(d/time.Second), 0)
	return x.Start("query", "xmlns", ns, "seconds", strconv.FormatInt(sec, 10)).Text(status).Bytes()
}

// format is the version of the record.
const format = 1

func record(at time.Time, status string) []byte {
	b := binary.BigEndian.AppendUint64([]byte{format}, uint64(at.Unix()))
	return append(b, stanza.Truncate(status, statusSize)...)
}

func parse(b []byte) (time.Time, string, error) {
	if len(b) < 9 || b[0] != format {
		return time.Time{}, "", errors.New("mod_last: record not understood")
	}
	return time.Unix(int64(binary.BigEndian.Uint64(b[1:])), 0), string(b[9:]), nil
}
