package muc

import (
	"context"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The bounds of a page of the list of rooms.
const (
	maxRoomsPage = 100
	maxPageBytes = 32 << 10 // of localparts and names: what fits on a page fits in a stanza, however it is escaped
)

// serviceFeatures are what the service itself can do (§6.2), and what holds for all of its rooms.
var serviceFeatures = []string{
	stanza.NSDiscoInf, stanza.NSDiscoIt, nsMUC,
	nsMUC + "#stable_id", // §7.4
	nsOccID,              // XEP-0421 §4
	nsPages, nsPing,
}

var errNoNode = stanza.Err(stanza.ItemNotFound, "") // XEP-0030 §7

// serviceIQ answers requests to the service (§6.2, §6.3). Results and errors are of nothing that it has asked.
func (m *module) serviceIQ(ctx context.Context, p *modules.Packet) {
	st := p.Stanza
	if st.Type != stanza.TypeGet && st.Type != stanza.TypeSet {
		return
	}
	q := &modules.IQ{Packet: p, Payload: st.Payload()}
	var payload []byte
	var err error = errUnserved
	if q.Payload != nil {
		switch q.Payload.NS {
		case stanza.NSDiscoInf:
			payload, err = m.info(q)
		case stanza.NSDiscoIt:
			payload, err = m.items(ctx, q)
		case nsPing:
			err = q.WantGet("ping") // XEP-0199
		}
	}
	if err != nil {
		m.fail(ctx, p, err)
		return
	}
	m.answer(ctx, p, payload)
}

// info tells what the service is (§6.2).
func (m *module) info(q *modules.IQ) ([]byte, error) {
	if err := q.WantGet("query"); err != nil {
		return nil, err
	}
	if q.Payload.Attr("node") != "" {
		return nil, errNoNode
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoInf)
	x.Empty("identity", "category", "conference", "type", "text", "name", m.cfg.Load().Name)
	for _, f := range serviceFeatures {
		x.Empty("feature", "var", f)
	}
	return x.Bytes(), nil
}

// items lists the public rooms, in pages (§6.3, XEP-0059). Hidden ones are listed to nobody.
func (m *module) items(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if err := q.WantGet("query"); err != nil {
		return nil, err
	}
	if q.Payload.Attr("node") != "" {
		return nil, errNoNode
	}
	want, bad := parseRoomsPage(q.Payload, maxRoomsPage)
	if bad != nil {
		return nil, bad
	}
	after := ""
	if want.after != "" {
		j, err := stanza.ParseJID(want.after)
		if err != nil || j.Domain() != m.domain.Domain() || j.Local() == "" {
			return nil, stanza.Err(stanza.ItemNotFound, "no page ended with that room") // XEP-0059 §2.4
		}
		after = j.Local()
	}
	rooms, count, more, err := m.store.page(ctx, after, want.max, maxPageBytes)
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoIt)
	var addrs []string
	for _, r := range rooms {
		jid, err := stanza.NewJID(r.local, m.domain.Domain(), "")
		if err != nil {
			continue
		}
		addrs = append(addrs, jid.String())
		name := r.name
		if name == "" {
			name = r.local
		}
		x.Empty("item", "jid", jid.String(), "name", name)
	}
	if want.asked || more {
		appendPage(&x, addrs, after == "", count)
	}
	return x.Bytes(), nil
}
