// Package archive is what all archives of messages have in common (XEP-0313): the IDs that clients see, and the answers to
// what they ask. Whose archives there are, what is kept in them and who may read them is the business of the modules that have
// them: mod_mam for accounts, and those that have rooms.
//
// # Implementation notes
//
//   - An item's data is a byte for the format and the message: Encode, Decode, AppendForwarded. Its address, With and
//     Resource, is what the field with of a query is compared with: NewItem, NewRoomItem. What is not stored as such nobody finds, such
//     as the real addresses of those in a room (XEP-0313 §4.1.1).
//   - The IDs that clients see are the storage's, enciphered: see IDs.
package archive

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/fate"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const ns = fate.NSMAM

// Kind says what the archives of a Reader are of (XEP-0313 §3.3).
type Kind uint8

// The kinds.
const (
	Accounts Kind = iota
	Rooms
)

// String names who has an archive.
func (k Kind) String() string { return [...]string{"account", "room"}[k] }

// Reader answers what clients ask of the archives of one storage.Archive. It is not changed after Start; all methods may be
// called from any goroutine.
type Reader struct {
	Kind    Kind
	Host    *modules.Host // for its log and the limits in force
	Archive storage.Archive
	IDs     IDs
	PageMax func() int // messages of one page at most, and IDs in one query; 1 to storage.MaxPage
}

// View is the archive that somebody asks.
type View struct {
	Owner string     // in the storage.Archive; IDs hold for it alone
	JID   stanza.JID // bare: the archive's address, from which its messages come (XEP-0313 §3.3)
}

// Sender takes the messages of a page for who asks. All come in the same stanza and buffer: who keeps what it is sent copies
// it. modules.Session is one.
type Sender interface {
	// Send fails where the client gets nothing any more, an answer neither.
	Send(ctx context.Context, st *stanza.Stanza) error
}

// Routed is the Sender for those who may be anywhere: their messages go the way of all stanzas.
type Routed struct{ Router modules.Router }

// Send implements Sender.
func (r Routed) Send(ctx context.Context, st *stanza.Stanza) error {
	r.Router.Route(ctx, modules.NewPacket(st))
	return nil
}

// Features are those of disco#info of an address that has an archive (XEP-0313 §7, XEP-0359 §5).
func (k Kind) Features() []string {
	if k == Accounts {
		return []string{ns, ns + "#extended", ns + "#groupchat-field", stanza.NSSID}
	}
	return []string{ns, ns + "#extended", stanza.NSSID}
}

// Answer answers an IQ of XEP-0313 that is not about preferences: a query, whose messages go out before it returns (§4), a
// question for the form of queries (§4.1.5) or for metadata (§5). It returns the payload of the answer and the IDs of the
// messages that went out, oldest first. A *stanza.Error is the client's answer; modules.Done says that out failed. The caller
// has seen to it that who asks may read the archive (§6.1.2, §8.1).
func (r *Reader) Answer(ctx context.Context, q *modules.IQ, v View, out Sender) (payload []byte, sent []string, err error) {
	switch {
	case q.Payload.Name == "query" && q.Set():
		return r.query(ctx, q, &v, out)
	case q.Payload.Name == "query":
		return form(r.Kind), nil, nil
	case q.Payload.Name == "metadata" && !q.Set():
		payload, err = r.metadata(ctx, v.Owner)
		return payload, nil, err
	}
	return nil, nil, stanza.Err(stanza.FeatureNotImplemented, "")
}

// Expire removes what is older than keep from all archives, 0 meaning that all stays, and says so in the log. The store does it in small
// portions, between which others write.
func (r *Reader) Expire(ctx context.Context, keep time.Duration) {
	if keep == 0 {
		return
	}
	n, err := r.Archive.Expire(ctx, "", time.Now().Add(-keep))
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.Host.Log.Error("old messages not removed from archives", "removed", n, "err", err)
	case n > 0:
		r.Host.Log.Info("old messages removed from archives", "removed", n)
	}
}
