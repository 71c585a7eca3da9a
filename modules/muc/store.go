package muc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// The KVs. Neither a localpart nor an address can hold a zero byte (RFC 7622 §3.3, §3.4).
const (
	kvRooms        = "rooms"        // localpart: record
	kvAffiliations = "affiliations" // localpart 0 bare JID: affiliated
	kvCreators     = "creators"     // bare JID 0 localpart: nothing
	kvPublic       = "public"       // localpart: name, of rooms that are listed
	kvCounts       = "counts"       // "public": how many there are in kvPublic, as a decimal number
)

// store is what is on disk of rooms.
type store struct{ storage.Bucket }

// record is what is stored of a room besides its affiliations and its archive.
type record struct {
	Format   int       `json:"format"`
	Created  time.Time `json:"created"`
	Creator  string    `json:"creator"` // bare JID
	Settings Settings  `json:"settings"`
	Subject  Subject   `json:"subject"`
}

// affiliated is an affiliation that is not None, and why.
type affiliated struct {
	Affiliation
	Reason string
}

// The versions of the two records.
const (
	recordFormat     = 1
	affiliatedFormat = 1
)

func (a affiliated) record() []byte {
	return append([]byte{affiliatedFormat, byte(a.Affiliation - Outcast)}, a.Reason...)
}

func parseAffiliated(b []byte) (affiliated, error) {
	if len(b) < 2 || b[0] != affiliatedFormat || b[1] > byte(Owner-Outcast) {
		return affiliated{}, fmt.Errorf("affiliation: %w", storage.ErrCorrupt)
	}
	return affiliated{Affiliation(b[1]) + Outcast, string(b[2:])}, nil
}

func roomKey(local string) []byte { return append([]byte(local), 0) }

func affiliationKey(local string, who stanza.JID) []byte { return who.AppendTo(roomKey(local)) }

func creatorKey(creator, local string) []byte {
	return append(append([]byte(creator), 0), local...)
}

// load reads a room; ok is false where there is none.
func (s store) load(ctx context.Context, local string) (rec record, affs map[stanza.JID]affiliated, ok bool, err error) {
	prefix := roomKey(local)
	err = s.View(ctx, func(tx storage.Tx) error {
		b, err := tx.KV(kvRooms).Get([]byte(local))
		if err != nil || b == nil {
			return err
		}
		if err := json.Unmarshal(b, &rec); err != nil || rec.Format != recordFormat {
			return fmt.Errorf("room: %w", storage.ErrCorrupt)
		}
		ok, affs = true, map[stanza.JID]affiliated{}
		var bad error
		err = tx.KV(kvAffiliations).Scan(prefix, nil, func(key, value []byte) bool {
			who, err := stanza.ParseJID(string(key[len(prefix):]))
			a, err2 := parseAffiliated(value)
			if bad = errors.Join(err, err2); bad != nil {
				return false
			}
			affs[who] = a
			return true
		})
		return errors.Join(err, bad)
	})
	if err != nil {
		return rec, nil, false, fmt.Errorf("read room: %w", err)
	}
	return rec, affs, ok, nil
}

// change is a set of changes of a room that are made together.
type change struct {
	rec  *record                   // nil: stays
	affs map[stanza.JID]affiliated // to be set, or with None to be removed
}

// save writes changes of a room.
func (s store) save(ctx context.Context, local string, c change) error {
	var value []byte
	if c.rec != nil {
		c.rec.Format = recordFormat
		var err error
		if value, err = json.Marshal(c.rec); err != nil {
			return err
		}
	}
	err := s.Update(ctx, func(tx storage.Tx) error {
		if value != nil {
			if err := tx.KV(kvRooms).Put([]byte(local), value); err != nil {
				return err
			}
			if c.rec.Creator != "" {
				if err := tx.KV(kvCreators).Put(creatorKey(c.rec.Creator, local), nil); err != nil {
					return err
				}
			}
			if err := list(tx, local, c.rec.Settings.Public, c.rec.Settings.Name); err != nil {
				return err
			}
		}
		for who, a := range c.affs {
			var err error
			if key := affiliationKey(local, who); a.Affiliation == None {
				err = tx.KV(kvAffiliations).Delete(key)
			} else {
				err = tx.KV(kvAffiliations).Put(key, a.record())
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write room: %w", err)
	}
	return nil
}

// remove removes a room, but for its archive, in one transaction: what remained of it would be another's who makes a room of that
// name.
func (s store) remove(ctx context.Context, local string, creators ...string) error {
	err := s.Update(ctx, func(tx storage.Tx) error {
		if _, err := storage.DeletePrefixIn(tx, roomKey(local), kvAffiliations); err != nil {
			return err
		}
		if err := list(tx, local, false, ""); err != nil {
			return err
		}
		for _, c := range creators {
			if err := tx.KV(kvCreators).Delete(creatorKey(c, local)); err != nil {
				return err
			}
		}
		return tx.KV(kvRooms).Delete([]byte(local))
	})
	if err != nil {
		return fmt.Errorf("remove room: %w", err)
	}
	return nil
}

// made counts the rooms that an address has made, up to a number that is enough.
func (s store) made(ctx context.Context, creator string, enough int) (n int, err error) {
	prefix := creatorKey(creator, "")
	err = s.View(ctx, func(tx storage.Tx) error {
		return tx.KV(kvCreators).Scan(prefix, nil, func([]byte, []byte) bool { n++; return n < enough })
	})
	return n, err
}

// each visits the stored rooms in order until fn returns false. Damaged ones are passed over.
func (s store) each(ctx context.Context, fn func(local string, rec *record) bool) error {
	err := s.KV(kvRooms).Scan(ctx, nil, nil, func(key, value []byte) bool {
		var rec record
		if json.Unmarshal(value, &rec) != nil {
			return true
		}
		return fn(string(key), &rec)
	})
	if errors.Is(err, storage.ErrCorrupt) {
		err = nil
	}
	return err
}
