package vcard

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/stanza"
)

// outgoing puts the hash of the account's avatar into presence, broadcast or directed (XEP-0398 §4).
func (m *module) outgoing(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindPresence || st.Type != stanza.TypeNone || p.Origin == nil {
		return nil
	}
	claimed, photo := "", false
	at := st.Find(nsUpdate, "x")
	if at >= 0 {
		if e := st.Element(at).Child("", "photo"); e != nil {
			if e.Text == "" {
				return nil // the client wants to show none
			}
			claimed, photo = e.Text, true
		}
	}
	// In a broadcast contacts see the hash, who may see the avatar too unless it is closed to them; other addressees only
	// where they may see it themselves: the hash tells who somebody is.
	owner := p.From.Bare()
	reader := p.To
	if reader.IsZero() {
		reader = owner
		s, ok, err := m.pep.Settings(ctx, owner, nodeMetadata)
		if err != nil {
			return m.skip(owner, err)
		}
		if ok && s.Access != pep.Open && s.Access != pep.Presence {
			return nil
		}
	}
	in, err := m.current(ctx, owner, reader)
	if err != nil {
		return m.skip(owner, err)
	}
	switch {
	case in == nil && (at < 0 || photo), in != nil && claimed == in.hash:
		return nil
	}
	for i := at; i >= 0; i = st.FindNext(i, nsUpdate, "x") {
		st.Drop(i)
	}
	hash := ""
	if in != nil {
		hash = in.hash
	}
	var x stanza.XML
	st.Add(x.Start("x", "xmlns", nsUpdate).Leaf("photo", hash).Bytes())
	return nil
}

// skip lets presence pass as it is: a picture is not worth it.
func (m *module) skip(owner stanza.JID, err error) error {
	m.h.Log.Error("avatar not read for presence", "user", owner.Local(), "err", err)
	return nil
}
