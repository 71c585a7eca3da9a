package bookmarks

import (
	"bytes"
	"slices"

	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/stanza"
)

// room is a bookmark as both formats have it.
type room struct {
	name, nick, password string
	autojoin             bool
}

// bookmarks is a list in the old format.
type bookmarks struct {
	jids  []string
	rooms map[string]room
	rest  [][]byte // what is no bookmark of a room
}

// readRoom reads a conference element of either format.
func readRoom(e *stanza.Element) room {
	a := e.Attr("autojoin")
	return room{e.Attr("name"), e.ChildText("nick"), e.ChildText("password"), a == "true" || a == "1"}
}

// parse reads a list in the old format (XEP-0048 §2).
func parse(data []byte) (*bookmarks, bool) {
	st, err := stanza.Parse(data)
	if err != nil || st.NS != nsOld || st.Name != "storage" {
		return nil, false
	}
	l := &bookmarks{rooms: map[string]room{}}
	for i, c := range st.Children {
		if c.NS == nsOld && st.ChildName(i) == "conference" {
			e := st.Element(i)
			if j, err := stanza.ParseJID(e.Attr("jid")); err == nil && j.IsBare() {
				jid := j.String()
				if _, twice := l.rooms[jid]; !twice {
					l.jids = append(l.jids, jid)
					l.rooms[jid] = readRoom(e)
				}
				continue
			}
		}
		l.rest = append(l.rest, st.Copy(i))
	}
	return l, true
}

// list writes items of the new format, and what else is in a list of the old one, as a list of the old one.
func list(items, old []pep.Item) []byte {
	var x stanza.XML
	x.Start("storage", "xmlns", nsOld)
	for _, it := range items {
		e, err := stanza.ParseElement(it.Payload)
		if err != nil || e.NS != ns || e.Name != "conference" {
			continue
		}
		r := readRoom(e)
		r.write(&x, "", "jid", it.ID)
	}
	if len(old) > 0 {
		if l, ok := parse(old[len(old)-1].Payload); ok {
			for _, b := range l.rest {
				x.Raw(b)
			}
		}
	}
	return x.Bytes()
}

// write writes a conference element; an empty ns leaves it in that of what it stands in.
func (r room) write(x *stanza.XML, extensions string, attrs ...string) {
	autojoin := ""
	if r.autojoin {
		autojoin = "true"
	}
	attrs = append(attrs, "name", r.name, "autojoin", autojoin)
	if r.nick == "" && r.password == "" && extensions == "" {
		x.Empty("conference", attrs...)
		return
	}
	x.Start("conference", attrs...)
	if r.nick != "" {
		x.Leaf("nick", r.nick)
	}
	if r.password != "" {
		x.Leaf("password", r.password)
	}
	x.Raw([]byte(extensions)).End()
}

// collate brings the copy in the old format up to date.
func collate(e *pep.Edit) error {
	items, err := e.Items(ns)
	if err != nil {
		return err
	}
	old, err := e.Items(nsOld)
	if err != nil || len(items)+len(old) == 0 {
		return err
	}
	return put(e, list(items, old))
}

// put makes a list the copy in the old format, unless it is that already.
func put(e *pep.Edit, data []byte) error {
	s, err := e.Ensure(nsOld, nil)
	if err != nil {
		return err
	}
	if err := seal(e, nsOld, s); err != nil {
		return err
	}
	id := "current" // XEP-0060 §12.21
	old, err := e.Items(nsOld)
	if err != nil {
		return err
	}
	if len(old) > 0 {
		last := old[len(old)-1]
		if bytes.Equal(last.Payload, data) {
			return nil
		}
		id = last.ID
	}
	return e.Publish(nsOld, id, data)
}

// seal makes sure that nobody but the owner reads a node before private data is put into it (XEP-0411 §5), and that it
// keeps it.
func seal(e *pep.Edit, node string, s pep.Settings) error {
	if s.Access == pep.Whitelist && s.Persist && (node == nsOld || s.Max == 0) {
		return nil
	}
	s.Access, s.Persist = pep.Whitelist, true
	if node == ns {
		s.Max = 0
	}
	return e.Configure(node, s)
}

// distribute makes a list in the old format the items of the new one. Those that are unchanged are not told of (XEP-0402
// §5.3.2).
func distribute(e *pep.Edit, l *bookmarks) error {
	items, err := e.Items(ns)
	if err != nil || len(items)+len(l.jids) == 0 {
		return err
	}
	s, err := e.Ensure(ns, nil)
	if err != nil {
		return err
	}
	if err := seal(e, ns, s); err != nil {
		return err
	}
	for _, it := range items {
		if _, stays := l.rooms[it.ID]; !stays {
			e.Retract(ns, it.ID)
		}
	}
	for _, jid := range l.jids {
		r := l.rooms[jid]
		i := slices.IndexFunc(items, func(it pep.Item) bool { return it.ID == jid })
		extensions := ""
		if i >= 0 {
			st, err := stanza.Parse(items[i].Payload)
			if err == nil && st.NS == ns && st.Name == "conference" {
				if readRoom(st.Root()) == r {
					continue
				}
				if k := st.Find(ns, "extensions"); k >= 0 {
					extensions = string(st.Copy(k))
				}
			}
		}
		var x stanza.XML
		r.write(&x, extensions, "xmlns", ns)
		if err := e.Publish(ns, jid, x.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
