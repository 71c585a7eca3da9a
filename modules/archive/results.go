package archive

import (
	"context"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// query sends the messages that a client asks for, and returns what ends them (XEP-0313 §4), and their IDs.
func (r *Reader) query(ctx context.Context, iq *modules.IQ, v *View, out Sender) (payload []byte, sent []string, err error) {
	q, err := parseQuery(iq.Payload, r.Kind, r.PageMax())
	if err != nil {
		return nil, nil, err
	}
	page, err := r.page(ctx, v, q)
	if err != nil {
		return nil, nil, err
	}
	given := make([]string, len(page.Items))
	for i := range page.Items {
		given[i] = r.IDs.Public(v.Owner, page.Items[i].ID)
	}
	if err := r.send(ctx, out, iq.From, v, q, page.Items, given); err != nil {
		return nil, nil, modules.Done // who asked takes no more, an answer neither
	}
	return fin(page, given), given, nil
}

// send sends a page's messages to the client that asked (XEP-0313 §4.2).
func (r *Reader) send(ctx context.Context, out Sender, to stanza.JID, v *View, q *query, items []storage.Item, given []string) error {
	envelope := stanza.New(stanza.KindMessage, stanza.TypeNone, "", v.JID, to, nil)
	st := envelope.Clone()
	xml := []byte("<result xmlns='" + ns + "'")
	if q.hasID { // also an empty one
		xml = append(stanza.AppendEscaped(append(xml, " queryid='"...), q.id), '\'')
	}
	xml = append(xml, " id='"...)
	head := len(xml)
	for i := range items {
		at := i
		if q.flip {
			at = len(items) - 1 - i
		}
		var ok bool
		if xml, ok = AppendForwarded(append(append(xml[:head], given[at]...), "'>"...), &items[at]); !ok {
			r.Host.Log.Error("message in an archive not understood", r.Kind.String(), v.JID.String())
			continue
		}
		xml = append(xml, "</result>"...)
		*st = *envelope
		st.Add(xml)
		if err := out.Send(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// fin ends an answer (XEP-0313 §4).
func fin(page storage.Page, given []string) []byte {
	var x stanza.XML
	complete := ""
	if page.Complete {
		complete = "true"
	}
	x.Start("fin", "xmlns", ns, "complete", complete).Start("set", "xmlns", nsRSM)
	if len(page.Items) > 0 && len(given) == len(page.Items) {
		x.Leaf("first", given[0]).Leaf("last", given[len(given)-1])
	}
	if page.Total >= 0 {
		x.Leaf("count", strconv.Itoa(page.Total))
	}
	return x.Bytes()
}
