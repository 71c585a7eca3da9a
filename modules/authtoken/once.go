package authtoken

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/xmppd/xmppd/storage"
)

// The tokens that were used and must not be used again, or not by everybody: on disk, so that a restart forgets none.
const (
	kvSeen  = "seen"  // SHA-256 of what names the token: when it can be forgotten, and the generation that saw it first
	kvUntil = "until" // that time, and the same SHA-256: in the order in which they can be forgotten
)

// lateness is how long a token is remembered beyond the time when it expires: a clock may be set back.
const lateness = 2 * 3600

// sweepBatch is how many are forgotten at most each time that one is remembered: more than one, so that their number falls
// when fewer come. Those that are left when none come any more are for the sweep.
const (
	sweepBatch = 8
	sweepMany  = 1000 // in one transaction of the sweep
	sweepEvery = time.Hour
)

// name makes the key of a token from what makes it the same one.
func name(parts ...string) []byte {
	h := sha256.New()
	var size [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

// firstSeen returns the generation in which a token was first used; used is false if it was not yet.
func firstSeen(tx storage.Tx, name []byte) (generation uint64, used bool, err error) {
	v, err := tx.KV(kvSeen).Get(name)
	if err != nil || v == nil {
		return 0, false, err
	}
	if len(v) != 16 {
		return 0, false, errRecord
	}
	return binary.BigEndian.Uint64(v[8:]), true, nil
}

// remember notes that a token was used, and forgets some that nobody will accept any more. Times are seconds of any epoch, the
// same one for all.
func remember(tx storage.Tx, name []byte, generation, now, expiry uint64) error {
	if _, err := forget(tx, now, sweepBatch); err != nil {
		return err
	}
	until := binary.BigEndian.AppendUint64(nil, expiry+lateness)
	if err := tx.KV(kvUntil).Put(append(until, name...), nil); err != nil {
		return err
	}
	return tx.KV(kvSeen).Put(name, binary.BigEndian.AppendUint64(until, generation))
}

// forget removes so many at most that nobody needs to know of any more, and returns how many there were.
func forget(tx storage.Tx, now uint64, most int) (n int, err error) {
	seen, order := tx.KV(kvSeen), tx.KV(kvUntil)
	var over [][]byte
	err = order.Scan(nil, nil, func(key, _ []byte) bool {
		if len(key) != 8+sha256.Size || binary.BigEndian.Uint64(key) > now {
			return false
		}
		over = append(over, append([]byte{}, key...))
		return len(over) < most
	})
	if err != nil {
		return 0, err
	}
	for _, key := range over {
		if err := order.Delete(key); err != nil {
			return 0, err
		}
		if err := seen.Delete(key[8:]); err != nil {
			return 0, err
		}
	}
	return len(over), nil
}

// sweepUsed forgets all that nobody needs to know of any more.
func (m *module) sweepUsed(ctx context.Context) {
	for n := sweepMany; n == sweepMany; {
		err := m.h.Store.Update(ctx, func(tx storage.Tx) (err error) {
			n, err = forget(tx, m.clock.date(), sweepMany)
			return err
		})
		if err != nil {
			if ctx.Err() == nil {
				m.h.Log.Error("used tokens not forgotten", "err", err)
			}
			return
		}
	}
}
