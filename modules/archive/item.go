package archive

import (
	"errors"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const itemFormat = 1 // the first byte of an item's data; the message as it was delivered follows

// NewItem makes an item of an account's message, that Encode has written. with is whom queries find it by: who is at the other end.
func NewItem(at time.Time, with stanza.JID, data []byte) storage.Item {
	return storage.Item{At: at, With: with.Bare().String(), Resource: with.Resource(), Data: data}
}

// NewRoomItem makes an item of a room's message, that Encode has written. by is whom queries find it by: who wrote it, as those in the
// room see him. His address is With as a whole, since all those of a room have one bare address: what somebody's messages cost to find must
// not depend on how much others have said, for strangers may ask.
func NewRoomItem(at time.Time, by stanza.JID, data []byte) storage.Item {
	return storage.Item{At: at, With: by.String(), Data: data}
}

// Encode writes what is stored of a message.
func Encode(st *stanza.Stanza) []byte {
	return st.AppendTo(append(make([]byte, 0, 1+st.Size()), itemFormat))
}

var errItem = errors.New("archive: item not understood")

// Decode reads the message of an item that Encode has written.
func Decode(it *storage.Item) (*stanza.Stanza, error) {
	if _, ok := message(it); !ok {
		return nil, errItem
	}
	return stanza.Parse(it.Data[1:])
}

// message returns a stored message but for its <message, to which a namespace is added (XEP-0297 §3).
func message(it *storage.Item) ([]byte, bool) {
	const head = string(rune(itemFormat)) + "<message"
	if len(it.Data) <= len(head) || string(it.Data[:len(head)]) != head {
		return nil, false
	}
	return it.Data[len(head):], true
}

// AppendForwarded appends the message of an item, with its time, as it is passed on (XEP-0313 §4.2, XEP-0297 §3); ok is false,
// and nothing appended, where the item is not understood.
func AppendForwarded(dst []byte, it *storage.Item) (_ []byte, ok bool) {
	rest, ok := message(it)
	if !ok {
		return dst, false
	}
	dst = append(dst, "<forwarded xmlns='"+stanza.NSForward+"'>"...)
	dst = stanza.AppendDelay(dst, stanza.JID{}, it.At, "") // XEP-0203
	dst = append(append(dst, "<message xmlns='"+stanza.NSClient+"'"...), rest...)
	return append(dst, "</forwarded>"...), true
}
