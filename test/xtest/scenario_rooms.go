package xtest

import (
	"fmt"
	"strings"
)

const (
	nsMUC      = "http://jabber.org/protocol/muc"
	roomConfig = nsMUC + "#roomconfig"
)

// JoinRoom enters a room (XEP-0045 §7.2) and reads up to its subject, which is the end of that; further is what <x/> is to have
// inside. What arrived before the own presence is returned, that is what else was on its way, and the presence of others.
func (c *Client) JoinRoom(occupant, further string) (before []*Node) {
	c.T.Helper()
	room, _, _ := strings.Cut(occupant, "/")
	c.Send("<presence to='%s'><x xmlns='%s'>%s</x></presence>", occupant, nsMUC, further)
	in := false
	for {
		n := c.Must()
		from, _, _ := strings.Cut(n.Attr("from"), "/")
		switch {
		case from == room && n.Attr("type") == "error":
			c.T.Fatalf("%s: not let into %s: %s", c.Name, room, n)
		case from == room && n.Name.Local == "presence" && hasStatus(n, "110"):
			in = true
		case from == room && in && n.Name.Local == "message" && n.Child("subject") != nil && n.Child("body") == nil:
			return before
		case !in:
			before = append(before, n)
		}
	}
}

// OpenRoom makes a room (XEP-0045 §10.1) that is configured by fields, such as membersonly=1; one without "#" in its name is
// of muc#roomconfig. Without fields it is an instant room (§10.1.2).
func (c *Client) OpenRoom(occupant string, fields ...string) {
	c.T.Helper()
	c.JoinRoom(occupant, "")
	room, _, _ := strings.Cut(occupant, "/")
	if n := c.ConfigureRoom(room, fields...); n.Attr("type") != "result" {
		c.T.Fatalf("%s: %s is not configured: %s", c.Name, room, n)
	}
}

// ConfigureRoom submits a room's form (XEP-0045 §10.2) and returns the answer. What arrives before it is kept to be read.
func (c *Client) ConfigureRoom(room string, fields ...string) *Node {
	c.T.Helper()
	return c.Ask("set", room, "<query xmlns='"+nsMUC+"#owner'>"+RoomForm(fields...)+"</query>")
}

// RoomForm is a filled form of muc#roomconfig, empty where there are no fields; see OpenRoom.
func RoomForm(fields ...string) string {
	var b strings.Builder
	b.WriteString("<x xmlns='jabber:x:data' type='submit'>")
	if len(fields) > 0 {
		fmt.Fprintf(&b, "<field var='FORM_TYPE' type='hidden'><value>%s</value></field>", roomConfig)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		if !strings.Contains(name, "#") {
			name = "muc#roomconfig_" + name
		}
		fmt.Fprintf(&b, "<field var='%s'><value>%s</value></field>", name, value)
	}
	b.WriteString("</x>")
	return b.String()
}

// Ask sends a request and returns its answer. What arrives before that is kept to be read.
func (c *Client) Ask(typ, to, payload string) *Node {
	c.T.Helper()
	c.pings++
	id := fmt.Sprintf("ask-%d", c.pings)
	c.Send("<iq type='%s' id='%s' to='%s'>%s</iq>", typ, id, to, payload)
	var others []*Node
	for {
		n := c.Must()
		if n.Name.Local == "iq" && n.Attr("id") == id {
			c.Unread(others)
			return n
		}
		others = append(others, n)
	}
}

// hasStatus tells whether a room says so by a code (XEP-0045 §16.6.2).
func hasStatus(n *Node, code string) bool {
	for _, x := range n.Children {
		for _, s := range x.Children {
			if s.Name.Local == "status" && s.Attr("code") == code {
				return true
			}
		}
	}
	return false
}

// enters is a directive about rooms: C joins OCCUPANT, C opens OCCUPANT FIELD…, C configures ROOM FIELD….
func (sc *scenario) enters(c *Client, words []string, fail func(string, ...any)) {
	sc.t.Helper()
	if len(words) < 2 {
		fail("%s which room?", words[0])
	}
	where, fields := sc.expand(words[1]), strings.Fields(sc.expand(strings.Join(words[2:], " ")))
	switch words[0] {
	case "joins":
		c.pending = nil
		c.JoinRoom(where, "")
	case "opens":
		c.OpenRoom(where, fields...)
	case "configures":
		if n := c.ConfigureRoom(where, fields...); n.Attr("type") != "result" {
			fail("%s: %s", c.Name, n)
		}
	}
}
