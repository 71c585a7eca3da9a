package blocking

import (
	"context"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const nsReports = modules.NSPrivate + "reports"

// Claims implements modules.Portable. The list has the form in which clients get it (XEP-0191 §3.2).
func (*module) Claims() []string { return []string{ns + " blocklist"} }

// Export implements modules.Portable. Reports are told and not taken back: they are for those who run the server.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	l, err := m.lists.Get(ctx, account.Local())
	if err != nil {
		return err
	}
	if l.len() > 0 {
		if _, err := w.Write(element("blocklist", l.all())); err != nil {
			return err
		}
	}
	all, err := m.Reports(ctx)
	if err != nil {
		return err
	}
	var x stanza.XML
	x.Start("reports", "xmlns", nsReports)
	n := 0
	for _, r := range all {
		if r.By == account.Bare().String() {
			n++
			x.Leaf("report", r.Text, "at", r.At.Format(time.RFC3339), "jid", r.JID, "reason", r.Reason)
		}
	}
	if n > 0 {
		_, err = w.Write(x.Bytes())
	}
	return err
}

// Import implements modules.Portable. A list is no longer than a client may make it, and nobody is on his own.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	jids, _, err := items(e.Root())
	if err != nil {
		return err
	}
	owner := account.Bare()
	jids = slices.DeleteFunc(jids, func(j stanza.JID) bool { return j.Bare() == owner })
	return m.lists.Change(ctx, account.Local(), func(l *list) (*list, error) {
		next := l.with(jids, nil)
		if next.len() > m.cfg.MaxEntries {
			return l, stanza.Err(stanza.NotAllowed, "the block list is longer than max_entries of mod_blocking")
		}
		return next, m.write(ctx, account.Local(), jids, nil, nil)
	})
}
