package push

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// deviceKey is a service of an account: it stands for a device.
type deviceKey struct {
	local string
	jid   stanza.JID
	node  string
}

// enabledKey is under which a session remembers the services that it enabled, as []deviceKey.
type enabledKey struct{}

// device is one that has been told of something since it was last here.
type device struct {
	count  int       // messages
	sender string    // of the last, where that is told
	body   string    // what it says, where that is told
	sent   time.Time // the last push
	id     string    // of the push that has no answer yet
	errors int       // answers that were errors, one after the other
	timer  *time.Timer
	dirty  bool // there is something that was not told
}

const bodySize = 512 // bytes of a message's text that are told, where they are

// message looks at each message that comes for an account: hardly any has a service.
func (m *module) message(ctx context.Context, p *modules.Packet) error {
	m.consider(ctx, p, func(on modules.Session) bool { return on == nil || on.Hibernated() || on.Info().Inactive })
	return nil
}

// unclaimed looks at a message that no session took: a device whose session was there a moment ago, and is not to be had any
// more, has not been told yet.
func (m *module) unclaimed(ctx context.Context, p *modules.Packet) error {
	m.consider(ctx, p, func(on modules.Session) bool { return on != nil && !on.Hibernated() && !on.Info().Inactive })
	return nil
}

// consider tells the devices of an account of a message, those that away says so of their sessions (nil: there is none).
func (m *module) consider(ctx context.Context, p *modules.Packet, away func(on modules.Session) bool) {
	if p.Stanza.Kind != stanza.KindMessage || p.To.Local() == "" {
		return
	}
	l, err := m.services.Get(ctx, p.To.Local())
	if err != nil {
		m.h.Log.Error("push services not read", "account", p.To.Bare().String(), "err", err)
		return // the message itself is not to blame
	}
	if len(l) == 0 || !worthy(p.Stanza) {
		return
	}
	sessions := m.h.Router.Sessions(p.To.Bare())
	for _, s := range l {
		key := deviceKey{p.To.Local(), s.jid, s.node}
		on := holder(sessions, key)
		if p.Stanza.Type == stanza.TypeGroupchat && (on == nil || on.JID() != p.To) {
			continue // a room's message is for the session that is in the room
		}
		if away(on) {
			m.tell(ctx, key, s, func(d *device) {
				d.count++
				if m.cfg.IncludeSender {
					d.sender = p.From.String()
				}
				if m.cfg.IncludeBody {
					d.body = stanza.Truncate(p.Stanza.Text("body"), bodySize)
				}
			})
		}
	}
}

// worthy tells messages that somebody would want to be woken up for: with a text, in clear or encrypted, and calls.
func worthy(st *stanza.Stanza) bool {
	switch st.Type {
	case stanza.TypeNone, stanza.TypeUnknown, stanza.TypeNormal, stanza.TypeChat, stanza.TypeGroupchat:
	default:
		return false
	}
	if st.Has("", "body") {
		return true
	}
	for i, c := range st.Children {
		switch c.NS {
		case "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2", "urn:xmpp:openpgp:0": // XEP-0384, XEP-0373
			return true
		case "urn:xmpp:jingle-message:0": // XEP-0353
			return st.ChildName(i) == "propose"
		}
	}
	return false
}

// holder returns the session that enabled a service, or nil.
func holder(sessions []modules.Session, key deviceKey) modules.Session {
	for _, s := range sessions {
		if keys, _ := s.Value(enabledKey{}).([]deviceKey); slices.Contains(keys, key) {
			return s
		}
	}
	return nil
}

// hibernated tells a device of what its session had taken and nobody has read.
func (m *module) hibernated(ctx context.Context, s modules.Session) {
	keys, _ := s.Value(enabledKey{}).([]deviceKey)
	if len(keys) == 0 || s.Info().Unacked == 0 {
		return
	}
	l, err := m.services.Get(ctx, s.JID().Local())
	if err != nil {
		m.h.Log.Error("push services not read", "account", s.JID().Bare().String(), "err", err)
		return
	}
	for _, key := range keys {
		if i := l.index(key.jid, key.node); i >= 0 {
			m.tell(ctx, key, l[i], func(*device) {})
		}
	}
}

// resumed forgets what a device was told of: it is here.
func (m *module) resumed(_ context.Context, s modules.Session) {
	keys, _ := s.Value(enabledKey{}).([]deviceKey)
	for _, key := range keys {
		m.settle(key)
	}
}

// settle forgets what a device was told of.
func (m *module) settle(key deviceKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d := m.devices[key]; d != nil {
		m.quit(key, d)
	}
}

// quit takes a device out. Under mu.
func (m *module) quit(key deviceKey, d *device) {
	if d.timer != nil {
		d.timer.Stop()
	}
	delete(m.waiting, d.id)
	delete(m.devices, key)
}

// tell sends a push now, or later where the last was a moment ago.
func (m *module) tell(ctx context.Context, key deviceKey, s *service, what func(*device)) {
	m.mu.Lock()
	if m.stopped {
		m.mu.Unlock()
		return
	}
	d := m.devices[key]
	if d == nil {
		d = &device{}
		m.devices[key] = d
	}
	what(d)
	if d.timer != nil {
		d.dirty = true
		m.mu.Unlock()
		return
	}
	st := m.next(key, d, s)
	m.mu.Unlock()
	m.h.Router.Route(ctx, modules.NewPacket(st))
}

// next makes the push that is due, and a timer for what comes while another is too early. Under mu.
func (m *module) next(key deviceKey, d *device, s *service) *stanza.Stanza {
	d.dirty, d.sent = false, time.Now()
	d.timer = time.AfterFunc(time.Duration(m.cfg.MinInterval), func() { m.due(key, d) })
	delete(m.waiting, d.id) // an answer that has not come by now does not matter
	d.id = "push-" + strconv.FormatUint(m.ids.Add(1), 36)
	m.waiting[d.id] = key
	return m.publish(key, d, s)
}

// due sends what came meanwhile.
func (m *module) due(key deviceKey, d *device) {
	var batch stream.Batch
	ctx := stream.WithBatch(context.Background(), &batch)
	defer batch.Flush()
	l, err := m.services.Get(ctx, key.local)
	m.mu.Lock()
	if m.stopped || m.devices[key] != d {
		m.mu.Unlock()
		return
	}
	d.timer = nil
	i := l.index(key.jid, key.node)
	if err != nil || i < 0 || !d.dirty {
		m.mu.Unlock()
		return
	}
	st := m.next(key, d, l[i])
	m.mu.Unlock()
	m.h.Router.Route(ctx, modules.NewPacket(st))
}

// publish makes a push (XEP-0357 §7). It comes from the account: that is whom a push service knows.
func (m *module) publish(key deviceKey, d *device, s *service) *stanza.Stanza {
	var x stanza.XML
	x.Start("pubsub", "xmlns", nsPubsub).Start("publish", "node", s.node).Start("item").Start("notification", "xmlns", ns)
	if d.count > 0 {
		f := &stanza.Form{Kind: "submit", Type: nsSummary, Fields: []stanza.FormField{{Var: "message-count", Values: []string{strconv.Itoa(d.count)}}}}
		if d.sender != "" {
			f.Fields = append(f.Fields, stanza.FormField{Var: "last-message-sender", Values: []string{d.sender}})
		}
		if d.body != "" {
			f.Fields = append(f.Fields, stanza.FormField{Var: "last-message-body", Values: []string{d.body}})
		}
		x.Raw(f.Bytes())
	}
	x.End().End().End()
	if s.options != nil {
		x.Start("publish-options").Raw(s.options).End()
	}
	owner, err := stanza.NewJID(key.local, m.h.Name, "")
	if err != nil {
		owner = stanza.JID{} // it was prepared when it became a key
	}
	return stanza.New(stanza.KindIQ, stanza.TypeSet, d.id, owner, s.jid, x.Bytes())
}

// answered takes the answers to pushes. A service that has nothing but errors to say is told nothing more.
func (m *module) answered(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindIQ || st.Type != stanza.TypeResult && st.Type != stanza.TypeError || !strings.HasPrefix(st.ID(), "push-") {
		return nil
	}
	m.mu.Lock()
	key, ok := m.waiting[st.ID()]
	if !ok || key.jid != p.From || key.local != p.To.Local() {
		m.mu.Unlock()
		return nil
	}
	delete(m.waiting, st.ID())
	d := m.devices[key]
	if d == nil {
		m.mu.Unlock()
		return modules.Done
	}
	if d.errors++; st.Type == stanza.TypeResult {
		d.errors = 0
	}
	enough := d.errors >= m.cfg.MaxErrors
	m.mu.Unlock()
	if enough {
		if err := m.disable(ctx, p.To, func(s *service) bool { return s.jid == key.jid && s.node == key.node }); err != nil {
			return err
		}
		m.h.Log.Info("push service given up", "account", p.To.Bare().String(), "service", key.jid.String(), "errors", m.cfg.MaxErrors)
	}
	return modules.Done
}
