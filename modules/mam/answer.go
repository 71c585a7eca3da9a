package mam

import (
	"context"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/stanza"
)

// own refuses what others ask of an account's archive (XEP-0313 §8.1). It stands before the look whether there is such an
// account, so that the answer does not tell.
func (m *module) own(_ context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind == stanza.KindIQ && (st.Type == stanza.TypeGet || st.Type == stanza.TypeSet) && p.To.Local() != "" &&
		len(st.Children) > 0 && st.Children[0].NS == ns && p.From.Bare() != p.To {
		return stanza.Err(stanza.Forbidden, "")
	}
	return nil
}

// iq answers what an account's own clients ask of its archive.
func (m *module) iq(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if !q.Own() || q.Origin == nil {
		return nil, stanza.Err(stanza.Forbidden, "")
	}
	if q.Payload.Name == "prefs" {
		return m.preferences(ctx, q)
	}
	owner := q.To.Bare()
	payload, sent, err := m.reader.Answer(ctx, q, archive.View{Owner: owner.Local(), JID: owner}, q.Origin)
	if err == nil && len(sent) > 0 {
		m.discard(ctx, owner, sent)
	}
	return payload, err
}

// discard takes what a client got from its archive out of the box of messages that wait.
func (m *module) discard(ctx context.Context, owner stanza.JID, sent []string) {
	box, err := modules.Find[Box](m.h)
	if err != nil {
		return
	}
	if err := box.Discard(ctx, owner, func(id string) bool { return slices.Contains(sent, id) }); err != nil {
		m.h.Log.Error("messages got from the archive are kept for later too", "account", owner.String(), "err", err)
	}
}
