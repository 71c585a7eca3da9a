package muc

import (
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/stanza"
)

const nsPages = "http://jabber.org/protocol/rsm" // XEP-0059

// roomsPage is which part of a list somebody asks for (XEP-0059 §2).
type roomsPage struct {
	asked bool // he asks for a part
	max   int
	after string // the address of the room behind which it begins
}

// parseRoomsPage reads it of a request. No page has more than limit entries. Pages go forward only.
func parseRoomsPage(e *stanza.Element, limit int) (roomsPage, error) {
	w := roomsPage{max: limit}
	set := e.Child(nsPages, "set")
	if set == nil {
		return w, nil
	}
	w.asked = true
	for _, c := range set.Children {
		if c.NS != nsPages {
			continue
		}
		switch c.Name {
		case "max":
			n, err := archive.ParseMax(c.Text, limit)
			if err != nil {
				return w, err
			}
			w.max = n
		case "after":
			w.after = strings.TrimSpace(c.Text)
		case "before", "index": // §2.3, §2.6
			return w, stanza.Err(stanza.FeatureNotImplemented, "pages are found by what they come after")
		}
	}
	return w, nil
}

// appendPage writes which part of the list of rooms the answer has (XEP-0059 §2.2). first says that it begins with the first of all.
func appendPage(x *stanza.XML, addrs []string, first bool, count int) {
	x.Start("set", "xmlns", nsPages)
	if len(addrs) > 0 {
		index := ""
		if first {
			index = "0" // of others it would take a walk through the list
		}
		x.Leaf("first", addrs[0], "index", index).Leaf("last", addrs[len(addrs)-1])
	}
	x.Leaf("count", strconv.Itoa(count)).End() // §2.7
}
