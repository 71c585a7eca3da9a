package pep

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// pageSize is how large an answer with more than one item may become: what a client and a server surely take.
const pageSize = 192 << 10

// room is what is left of an answer that may not become larger than pageSize: a list that others can make long must not end
// the stream of who asks for it, nor that between two servers.
type room int

// fits takes an entry with these texts, and tells whether there is still room for it.
func (r *room) fits(texts ...string) bool {
	*r -= 64
	for _, s := range texts {
		*r -= room(len(s))
	}
	return *r >= 0
}

// items returns items of a node, in the order in which they were published (XEP-0060 §6.5).
func (m *module) items(ctx context.Context, q *modules.IQ, el *stanza.Element) ([]byte, error) {
	name, owner := el.Attr("node"), q.To.Bare()
	n, err := m.look(ctx, q, name)
	if err == errNoNode && q.From.Bare() == owner && m.standing(name) {
		n, err = &node{name: name}, nil
	}
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("pubsub", "xmlns", ns).Start("items", "node", n.name)
	var ids []string
	for _, c := range el.Children {
		if c.NS == ns && c.Name == "item" {
			ids = append(ids, c.Attr("id"))
		}
	}
	if len(ids) > 0 { // §6.5.8
		var list []entry
		for _, id := range ids {
			if i := n.find(id); i >= 0 && !slices.ContainsFunc(list, func(e entry) bool { return e.id == id }) {
				list = append(list, n.items[i])
			}
		}
		_, err := m.appendItems(ctx, &x, owner, n, list, false)
		return x.Bytes(), err
	}
	list := n.items
	if s := el.Attr("max_items"); s != "" { // §6.5.7
		k, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return nil, stanza.Err(stanza.BadRequest, "max_items is no number")
		}
		list = list[len(list)-min(int(k), len(list)):]
	}
	set := q.Payload.Child(nsRSM, "set")
	page, fromEnd, err := cutPage(list, set)
	if err != nil {
		return nil, err
	}
	// What does not fit is left out: the newest come first, unless the client turns the pages in the other direction.
	page, err = m.appendItems(ctx, &x, owner, n, page, fromEnd)
	if err != nil {
		return nil, err
	}
	x.End()
	if set != nil || len(page) < len(list) { // §6.5.4, XEP-0059 §2
		x.Start("set", "xmlns", nsRSM)
		if len(page) > 0 {
			first := slices.IndexFunc(list, func(e entry) bool { return e.id == page[0].id })
			x.Leaf("first", page[0].id, "index", strconv.Itoa(first)).Leaf("last", page[len(page)-1].id)
		}
		x.Leaf("count", strconv.Itoa(len(list))).End()
	}
	return x.Bytes(), nil
}

// cutPage chooses what an RSM request asks for (XEP-0059 §2). fromEnd says that of too much the end is wanted.
func cutPage(list []entry, set *stanza.Element) (page []entry, fromEnd bool, err error) {
	if set == nil {
		return list, true, nil
	}
	page = list
	if c := set.Child("", "after"); c != nil && c.Text != "" {
		i := slices.IndexFunc(list, func(e entry) bool { return e.id == c.Text })
		if i < 0 {
			return nil, false, errNoNode // XEP-0059 §2.2
		}
		page = list[i+1:]
	}
	if c := set.Child("", "before"); c != nil {
		fromEnd = true
		if c.Text != "" {
			i := slices.IndexFunc(page, func(e entry) bool { return e.id == c.Text })
			if i < 0 {
				return nil, false, errNoNode
			}
			page = page[:i]
		}
	}
	if c := set.Child("", "max"); c != nil {
		k, err := strconv.ParseUint(c.Text, 10, 31)
		if err != nil {
			return nil, false, stanza.Err(stanza.BadRequest, "max is no number")
		}
		k = min(k, uint64(len(page)))
		if fromEnd {
			page = page[len(page)-int(k):]
		} else {
			page = page[:k]
		}
	}
	return page, fromEnd, nil
}

// appendItems writes items with their payloads, as many as fit, and returns which.
func (m *module) appendItems(ctx context.Context, x *stanza.XML, owner stanza.JID, n *node, list []entry, fromEnd bool) ([]entry, error) {
	size, k := 0, 0
	for k < len(list) {
		it := &list[k]
		if fromEnd {
			it = &list[len(list)-1-k]
		}
		if size += it.size + 64; k > 0 && size > pageSize {
			break
		}
		k++
	}
	if fromEnd {
		list = list[len(list)-k:]
	} else {
		list = list[:k]
	}
	for _, it := range list {
		payload, err := m.payload(ctx, owner.Local(), n.name, it.seq)
		if errors.Is(err, storage.ErrNotFound) {
			continue // deleted since
		}
		if err != nil {
			return nil, err
		}
		appendItem(x, n, it, payload)
	}
	return list, nil
}
