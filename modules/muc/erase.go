package muc

import (
	"context"
	"errors"
	"slices"

	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/storage"
)

// erase removes a message, known by the ID that the room gave it, from the room's archive and its history. found is false where
// there is none.
func (r *room) erase(ctx context.Context, stanzaID string) (found bool, err error) {
	owner, reader := r.jid.Local(), &r.m.reader
	switch it, err := reader.Find(ctx, owner, stanzaID); {
	case errors.Is(err, archive.ErrNotFound):
	case err != nil && !errors.Is(err, storage.ErrCorrupt): // a damaged one goes, too
		return false, err
	default:
		if err := reader.Archive.Remove(ctx, owner, it.ID); err != nil {
			return false, err
		}
		found = true
	}
	if r.history.erase(func(s spoken) bool { return s.st.StanzaID(r.jid) == stanzaID }) {
		found = true
	}
	return found, nil
}

// erase forgets a message.
func (h *history) erase(is func(spoken) bool) bool {
	i := slices.IndexFunc(h.list, is)
	if i < 0 {
		return false
	}
	h.size -= len(h.list[i].st.Raw)
	h.list = slices.Delete(h.list, i, i+1)
	return true
}
