package roster

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// partingTime is how long the sessions of a deleted account may take to end.
const partingTime = time.Minute

// hiddenKey marks a session whose contacts have been told that it goes.
type hiddenKey struct{}

// userDeleted ends all that was between a deleted account and others, so that nobody goes on asking for it, and forgets
// the roster (XEP-0077 §3.2).
//
// The account's sessions end meanwhile, each on a goroutine of its own. Those that are still here have their contacts told
// now. One that is on its way out already tells them itself, and finds in former who they were.
func (m *module) userDeleted(ctx context.Context, owner stanza.JID) {
	owner = owner.Bare()
	local := owner.Local()
	if l, err := m.list(ctx, local); err == nil && len(l.readers) > 0 {
		m.former.Store(local, l)
		time.AfterFunc(partingTime, func() { m.former.CompareAndDelete(local, l) })
	}
	l, err := m.drop(ctx, local)
	if err != nil {
		m.h.Log.Error("roster of a deleted account not removed", "user", local, "err", err)
		return
	}
	for _, s := range m.h.Router.Sessions(owner) {
		if s.Presence() != nil {
			s.SetValue(hiddenKey{}, true)
		}
	}
	if modules.IsUndo(ctx) {
		return // what is between the contacts and the account of that name elsewhere, or here before, is as it was
	}
	for _, it := range l.items {
		m.part(ctx, owner, it)
	}
}

// parting returns the list that the last presence of a session is for: that of its account before it was deleted, unless
// that has been dealt with, or else now.
func (m *module) parting(s modules.Session, now *list) *list {
	if l, ok := m.former.Load(s.JID().Local()); ok && s.Value(hiddenKey{}) == nil {
		return l.(*list)
	}
	return now
}

// userCreated makes sure that a new account begins with nothing: a crash may have come between the end of an older one
// of that name and the end of its roster.
func (m *module) userCreated(ctx context.Context, owner stanza.JID) {
	m.former.Delete(owner.Local())
	if _, err := m.drop(ctx, owner.Local()); err != nil {
		m.h.Log.Error("roster of a former account not removed", "user", owner.Local(), "err", err)
	}
}
