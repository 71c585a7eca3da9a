package muc

import (
	"context"
	"errors"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// archived tells whether a message belongs in the room's archive.
func (r *room) archived(st *stanza.Stanza) bool {
	return r.rec.Settings.Archive && fate.InRoom(st) && !st.Has(stanza.NSHints, "no-permanent-store")
}

// keep archives those of the messages that are archived, in one transaction, and gives them their IDs (XEP-0359 §3). Those that
// are nil are passed over.
func (r *room) keep(ctx context.Context, list []*stanza.Stanza, now time.Time) error {
	var (
		few     [4]storage.Entry
		entries = few[:0]
		cfg     = r.m.cfg.Load()
		owner   = r.jid.Local()
	)
	for _, st := range list {
		if st != nil && r.archived(st) {
			item := archive.NewRoomItem(now, st.From(), archive.Encode(st))
			entries = append(entries, storage.Entry{Owner: owner, Item: item, MaxItems: cfg.QuotaMessages, MaxBytes: int64(cfg.QuotaSize)})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	ids, err := r.m.reader.Archive.AppendAll(ctx, entries...)
	if err != nil {
		return err
	}
	for _, st := range list {
		if st != nil && r.archived(st) {
			st.Add(stanza.AppendStanzaID(make([]byte, 0, 128), r.jid, r.m.reader.IDs.Public(owner, ids[0])))
			ids = ids[1:]
		}
	}
	return nil
}

// recall reads what was said before the room came into memory.
func (r *room) recall(ctx context.Context) {
	if r.history.read {
		return
	}
	r.history.read = true
	max := r.m.cfg.Load().HistoryMax
	if len(r.history.list) > 0 || r.locked || !r.rec.Settings.Archive || max == 0 {
		return
	}
	page, err := r.m.reader.Archive.Page(ctx, r.jid.Local(), storage.Query{Max: max, Last: true})
	if err != nil { // of damaged ones the others came
		r.m.h.Log.Error("history of a room not read", "room", r.jid.String(), "err", err)
	}
	for i := range page.Items {
		it := &page.Items[i]
		st, err := archive.Decode(it)
		if err != nil {
			r.m.h.Log.Error("message in an archive not understood", "room", r.jid.String())
			continue
		}
		if isSubject(st) { // the one in force comes after the history (§7.2.15)
			continue
		}
		st.Add(stanza.AppendStanzaID(nil, r.jid, r.m.reader.IDs.Public(r.jid.Local(), it.ID)))
		r.history.keep(st.Retain(), it.At, max)
	}
}

// begin sees to it that a new room begins without the archive of one that had its name.
func (r *room) begin(ctx context.Context) error { return r.m.reader.Archive.Drop(ctx, r.jid.Local()) }

// readers tells who may read the room's archive: who may enter (XEP-0313 §6.1.2).
func (r *room) readers(p *modules.Packet) error {
	aff := r.affiliation(p.From)
	_, s := r.occupantOf(p.From)
	switch {
	case !r.open():
		return errNoRoom
	case aff == Outcast, aff == None && r.rec.Settings.MembersOnly, aff == None && s == nil && r.rec.Settings.Password != "":
		return errForbidden
	case !r.rec.Settings.Archive:
		return errUnserved
	}
	return nil
}

// query answers what somebody wants to know of a room's archive. Only whether he may is asked in the room's turn: a page is long, and
// who reads it slowly keeps nobody waiting.
func (m *module) query(ctx context.Context, p *modules.Packet) {
	err := errors.New("muc: not asked")
	m.in(ctx, p, p.To, func(r *room, _ context.Context, p *modules.Packet) { err = r.readers(p) })
	if err != nil {
		m.fail(ctx, p, err)
		return
	}
	q := &modules.IQ{Packet: p, Payload: p.Stanza.Payload()}
	view := archive.View{Owner: p.To.Local(), JID: p.To.Bare()}
	payload, _, err := m.reader.Answer(ctx, q, view, archive.Routed{Router: m.h.Router})
	if err != nil {
		m.fail(ctx, p, err)
		return
	}
	m.answer(ctx, p, payload)
}
