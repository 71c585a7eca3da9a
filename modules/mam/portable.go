package mam

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const nsPortable = modules.NSPortable + "#mam"

// Claims implements modules.Portable (XEP-0227 §3.9): the archive, and what is archived (XEP-0441).
func (*module) Claims() []string { return []string{nsPortable + " archive", ns + " prefs"} }

// Export implements modules.Portable: the archive page by page.
func (m *module) Export(ctx context.Context, account stanza.JID, w *modules.Export) error {
	p, err := m.prefs.get(ctx, account.Local())
	if err != nil {
		return err
	}
	if p != nil {
		if _, err := w.Write(p.xml()); err != nil {
			return err
		}
	}
	after, begun := "", false
	for {
		page, err := m.ar.Page(ctx, account.Local(), storage.Query{After: after, Max: storage.MaxPage})
		if err != nil && !errors.Is(err, storage.ErrCorrupt) {
			return fmt.Errorf("read archive: %w", err)
		}
		if len(page.Items) > 0 && !begun {
			begun = true
			fmt.Fprintf(w, "<archive xmlns='%s'>", nsPortable) // an error comes again below
		}
		for i := range page.Items {
			it := &page.Items[i]
			after = it.ID
			b := fmt.Appendf(nil, "<result xmlns='%s' id='%s'>", ns, m.ids.Public(account.Local(), it.ID))
			b, ok := archive.AppendForwarded(b, it)
			if !ok {
				continue
			}
			if _, err := w.Write(append(b, "</result>\n"...)); err != nil {
				return err
			}
		}
		if page.Complete || len(page.Items) == 0 {
			break
		}
	}
	if begun {
		_, err = fmt.Fprint(w, "</archive>")
	}
	return err
}

// Import implements modules.Portable. Messages get IDs of this server; the quota holds.
func (m *module) Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error {
	if e.Name == "prefs" {
		p, err := parsePrefs(e.Root(), m.cfg.Load().PrefsJIDs)
		if err != nil {
			return err
		}
		return m.prefs.set(ctx, account.Local(), p)
	}
	cfg := m.cfg.Load()
	var entries []storage.Entry
	for i, c := range e.Children {
		if c.NS != ns {
			continue
		}
		it, ok := m.brought(account, e, i)
		if !ok {
			continue
		}
		entries = append(entries, storage.Entry{Owner: account.Local(), Item: it, MaxItems: cfg.QuotaMessages, MaxBytes: int64(cfg.QuotaSize)})
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := m.ar.AppendAll(ctx, entries...); err != nil {
		return fmt.Errorf("archive not taken in: %w", err)
	}
	return nil
}

// brought reads one <result/> of an archive.
func (m *module) brought(account stanza.JID, e *stanza.Stanza, i int) (it storage.Item, ok bool) {
	result, err := stanza.Parse(e.Copy(i))
	if err != nil {
		return it, false
	}
	forwarded := result.Find(stanza.NSForward, "forwarded")
	if forwarded < 0 {
		return it, false
	}
	f, err := stanza.Parse(result.Copy(forwarded))
	if err != nil {
		return it, false
	}
	delay, msg := f.Find(stanza.NSDelay, "delay"), f.Find(stanza.NSClient, "message")
	if delay < 0 || msg < 0 {
		return it, false
	}
	at, err := time.Parse(time.RFC3339, f.Element(delay).Attr("stamp"))
	if err != nil {
		return it, false
	}
	st, err := stanza.Parse(f.Copy(msg))
	if err != nil || st.Kind != stanza.KindMessage {
		return it, false
	}
	other := st.From()
	if other.Bare() == account {
		other = st.To()
	}
	st.SetTo(st.To()) // written anew, without the namespace that a stream declares
	return archive.NewItem(at.UTC(), other, archive.Encode(st)), true
}
