package roster

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/xmppd/xmppd/stanza"
)

// item is what an account knows of a contact. It is immutable once it is in a list.
type item struct {
	jid    stanza.JID // bare
	name   string
	groups []string
	state  state
	// listed says that the owner sees it in the roster. A mere request of a stranger is not listed (RFC 6121 §A.1).
	listed bool
	ver    uint64 // of the list when the owner was last told of it
}

// shown tells whether the owner sees no difference between the two.
func (it *item) shown(as *item) bool {
	if !it.listed && !as.listed {
		return true
	}
	return it.listed == as.listed && it.state&^pendingIn == as.state&^pendingIn && it.name == as.name &&
		slices.Equal(it.groups, as.groups)
}

func (it *item) contact() Contact {
	return Contact{
		JID: it.jid, Name: it.name, Groups: it.groups, Subscription: Subscription(it.state) & Both,
		Ask: it.state&pendingOut != 0, Approved: it.state&approved != 0,
	}
}

// write writes the <item/> of RFC 6121 §2.1.2.
func (it *item) write(x *stanza.XML) {
	if !it.listed {
		x.Empty("item", "jid", it.jid.String(), "subscription", "remove") // §2.1.2.5
		return
	}
	ask, ok := "", ""
	if it.state&pendingOut != 0 {
		ask = "subscribe" // §2.1.2.2
	}
	if it.state&approved != 0 {
		ok = "true" // §2.1.2.1
	}
	x.Start("item", "jid", it.jid.String(), "name", it.name,
		"subscription", (Subscription(it.state) & Both).String(), "ask", ask, "approved", ok)
	for _, g := range it.groups {
		x.Leaf("group", g)
	}
	x.End()
}

// format is the version of the records below.
const format = 1

var errRecord = errors.New("mod_roster: record not understood")

const flagListed = 0x80 // beside the state

// record encodes an item for the store; its JID is in the key.
func (it *item) record() []byte {
	b := make([]byte, 0, 16+len(it.name))
	f := byte(it.state)
	if it.listed {
		f |= flagListed
	}
	b = append(b, format, f)
	b = binary.AppendUvarint(b, it.ver)
	b = appendString(b, it.name)
	b = binary.AppendUvarint(b, uint64(len(it.groups)))
	for _, g := range it.groups {
		b = appendString(b, g)
	}
	return b
}

// parseItem decodes a record. b is not kept.
func parseItem(jid stanza.JID, b []byte) (*item, error) {
	d := decoder{b: b}
	if d.byte() != format {
		return nil, errRecord
	}
	f := d.byte()
	it := &item{jid: jid, state: state(f &^ flagListed), listed: f&flagListed != 0, ver: d.uint(), name: d.string()}
	n := d.uint()
	if n > uint64(len(d.b)) { // each takes a byte at least
		return nil, errRecord
	}
	if n > 0 {
		it.groups = make([]string, n)
		for i := range it.groups {
			it.groups[i] = d.string()
		}
	}
	if d.bad || len(d.b) > 0 || it.state&^(subTo|subFrom|pendingOut|pendingIn|approved) != 0 {
		return nil, errRecord
	}
	return it, nil
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decoder reads what the append functions wrote; bad is set when there is less than expected.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) byte() byte {
	if len(d.b) == 0 {
		d.bad = true
		return 0
	}
	c := d.b[0]
	d.b = d.b[1:]
	return c
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) string() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}
