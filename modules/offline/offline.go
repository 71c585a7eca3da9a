// Package offline keeps messages for accounts that no session takes them for (XEP-0160), on disk before the sender can
// be told that they arrived, and hands them over when a session becomes available.
//
// # Implementation notes
//
//   - A message is handed over when the session has accepted it: with XEP-0198 it then lies in the session's queue, and what
//     the client never acknowledges comes back here by way of the router; without, it has been written to the socket as far
//     as that takes it. It is deleted after that, so a crash in between delivers it twice. What a crash finds in an outbox or
//     queue after that is gone with the process.
//   - The router makes a session visible before Hooks.Presence runs. A message that found no session, and is stored while
//     one becomes visible, is therefore either seen by that session's delivery or its sender's goroutine sees the session
//     (stored looks again): it does not stay behind. New messages may overtake stored ones; their stamps tell.
//   - A message that is in the account's archive too (mod_mam) is kept with its ID there. What a client has got from the archive,
//     or was told by Bind 2 that it finds there (XEP-0386 §3.2), is discarded here; who asks for neither gets all that is kept.
//   - One delivery runs for an account at a time, on the goroutine that began it or on its timer's; it never waits for a
//     client. A session that has enough to do gets more later.
package offline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/modules/mam"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// Config is [modules.mod_offline]: how much is kept stands in [limits].
type Config struct{}

// Info describes mod_offline.
var Info = modules.Define(modules.Info{
	Name:    "mod_offline",
	Summary: "keeps messages for accounts that are offline",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 160, Version: "1.0.1"},
		{Number: 203, Version: "2.0"},
		{Number: 334, Version: "1.0.0", Note: "store and no-store; no-permanent-store does not forbid keeping a message until it is delivered (§4.1)"},
	},
	RFCs: []string{"RFC 6121 §8.5.2.2.1"},
}, Config{}, func(Config) modules.Module { return &module{runs: map[string]*run{}} })

type module struct {
	h       *modules.Host
	box     box
	archive mam.Service     // nil: there is none
	copies  carbons.Service // nil: there are none

	mu      sync.Mutex
	runs    map[string]*run // deliveries under way, by localpart
	stopped bool
	rounds  sync.WaitGroup
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h, m.box = h, box{h.Store}
	m.archive, _ = modules.Find[mam.Service](h)
	m.copies, _ = modules.Find[carbons.Service](h)
	h.Disco(modules.Server, "msgoffline") // XEP-0160 §4
	h.Hooks.Unclaimed.On(modules.Keep, m.unclaimed)
	h.Hooks.Presence.On(modules.Watch, m.presence)
	h.Hooks.SessionResumed.On(modules.Watch, m.resumed)
	h.Hooks.UserDeleted.On(modules.Keep, m.forget)
	h.Hooks.UserCreated.On(modules.Keep, m.forget)
	modules.Provide[mam.Box](h, m)
	modules.Provide[modules.Portable](h, m)
	return nil
}

// Stop implements modules.Module: deliveries end, what is not handed over stays on disk.
func (m *module) Stop(context.Context) error {
	m.mu.Lock()
	m.stopped = true
	for local, r := range m.runs {
		if r.timer != nil && r.timer.Stop() {
			delete(m.runs, local)
		}
	}
	m.mu.Unlock()
	m.rounds.Wait()
	return nil
}

// unclaimed stores a message that no session took.
func (m *module) unclaimed(ctx context.Context, p *modules.Packet) error {
	switch fate.Offline(p.Stanza) {
	case fate.Refuse:
		return nil // the router tells the sender
	case fate.Forget:
		return modules.Done
	}
	st := p.Stanza
	if !stamped(st, m.h.Name) {
		st = st.Clone()
		st.Add(stanza.AppendDelay(nil, p.To.Host(), time.Now(), "Offline Storage")) // XEP-0160 §2, XEP-0203 §4
	}
	limits := &m.h.File().Limits
	local := p.To.Local()
	id := ""
	if m.archive != nil {
		id = m.archive.IDOf(st, p.To.Bare())
	}
	data := st.AppendTo(make([]byte, 0, st.Size()))
	outcome := m.box.append(ctx, local, id, data, limits.OfflineCount, int64(limits.OfflineSize))
	var sent *stanza.Stanza
	if m.archive != nil && p.Sent != nil {
		sent = p.Sent.Retain()
	}
	from, to, noCopy := p.From, p.To, p.NoCopy
	if stream.BatchOf(ctx).Await(len(data), func(ctx context.Context) {
		err := outcome()
		if err == nil {
			m.kept(ctx, local)
			return
		}
		st, perr := stanza.Parse(data)
		if perr != nil {
			return // it was a stanza when it was stored
		}
		p := &modules.Packet{Stanza: st, From: from, To: to, Sent: sent, NoCopy: noCopy}
		m.h.Router.Bounce(ctx, p, m.notKept(ctx, p, err))
	}) {
		return modules.Done
	}
	if err := outcome(); err != nil {
		return m.notKept(ctx, p, err)
	}
	m.kept(ctx, local)
	return modules.Done
}

// kept hands a message on that is on disk now: a session may have become available while it was on its way there; see the
// package comment.
func (m *module) kept(ctx context.Context, local string) {
	if s := m.target(local, nil); s != nil {
		m.deliver(ctx, s)
	}
}

// notKept makes the answer for a message that is not kept. It is in no archive then either.
func (m *module) notKept(ctx context.Context, p *modules.Packet, err error) *stanza.Error {
	if m.archive != nil {
		if err := m.archive.Withdraw(ctx, p); err != nil {
			m.h.Log.Error("message not kept, and still in the archive", "account", p.To.Bare().String(), "err", err)
		}
	}
	if errors.Is(err, errQuota) {
		return stanza.Err(stanza.ServiceUnavailable, "") // XEP-0160 §2 step 3
	}
	e, log := modules.Answer(err)
	if log {
		m.h.Log.Error("message not kept", "account", p.To.Bare().String(), "err", err)
	}
	return e
}

// Discard implements mam.Box.
func (m *module) Discard(ctx context.Context, account stanza.JID, fits func(id string) bool) error {
	list, err := m.box.find(ctx, account.Local(), fits)
	if err != nil || len(list) == 0 {
		return err
	}
	return m.box.remove(ctx, account.Local(), list)
}

// presence begins a delivery when a session becomes one that gets messages (XEP-0160 §2 step 5).
func (m *module) presence(ctx context.Context, ev modules.Presence) {
	if takes(ev.Session.Presence()) && !takes(ev.Was) {
		m.deliver(ctx, ev.Session)
	}
}

// resumed goes on with a delivery that ended when the session lost its connection (XEP-0198 §5).
func (m *module) resumed(ctx context.Context, s modules.Session) {
	if takes(s.Presence()) {
		m.deliver(ctx, s)
	}
}

// forget drops all that was kept for an account: when it is deleted and, since a crash may have come between, when one of the
// same name is made.
func (m *module) forget(ctx context.Context, j stanza.JID) {
	if err := m.box.drop(ctx, j.Local()); err != nil {
		m.h.Log.Error("messages of an account not dropped", "account", j.String(), "err", err)
	}
}

// takes tells whether a session with this presence gets messages for the account (RFC 6121 §8.5.2.1.1).
func takes(p *modules.PresenceState) bool { return p != nil && p.Priority >= 0 }
