// Package storage says what a store can do, in two shapes: KV (an ordered map) and Archive (append and page). Drivers
// implement the shapes, modules use them, so that modules times drivers never multiply.
//
// # Implementation notes
//
//   - A write that returned nil is on disk: what a client is told is accepted survives kill -9.
//   - Values handed to a caller are copies; keys and values given to a driver may be reused after the call.
//   - A stored value carries a version and a checksum; a driver reports a damaged one as ErrCorrupt and never serves it.
//   - A context that ends before a write is begun takes it back; once begun, its outcome is awaited, so that an error of
//     the context always means: nothing was changed.
//   - Paths, names and owners are any bytes, also none. Keys are 1 to MaxKey bytes, values 0 to MaxValue.
package storage

import (
	"context"
	"errors"
	"io"
	"time"
)

// The errors of a store that callers tell apart. ErrFull and ErrReadOnly become resource-constraint on the wire.
var (
	ErrNotFound = errors.New("storage: not found")
	ErrCorrupt  = errors.New("storage: damaged record")
	ErrFull     = errors.New("storage: no space left")
	ErrReadOnly = errors.New("storage: read-only after a write failed")
	ErrClosed   = errors.New("storage: closed")
	ErrLimit    = errors.New("storage: key or value out of bounds")
	ErrTx       = errors.New("storage: not possible in this transaction")
)

// The sizes that every driver accepts; beyond them it answers ErrLimit.
const (
	MaxPath      = 4 << 10  // a path, with 3 for each element, and the name of a KV or an archive
	MaxKey       = 16 << 10 // a key, or an owner or the With of an archive
	MaxValue     = 64 << 20 // a value or an item's data
	MaxPage      = 1000     // items of one page, whatever Query.Max says
	MaxPageBytes = 16 << 20 // data of one page; a single larger item still comes
	MaxVisited   = 200_000  // items that a page by Resource looks at
)

// Store is an open database.
type Store interface {
	// Bucket returns a part of the store by path, such as host and module; it exists at the first write.
	Bucket(path ...string) Bucket
	// DeleteBucket removes a part and all below it.
	DeleteBucket(ctx context.Context, path ...string) error
	// Backup writes a consistent copy of a running store.
	Backup(ctx context.Context, w io.Writer) error
	// Verify reads everything and reports what is damaged.
	Verify(ctx context.Context) error
	Close() error
}

// Bucket is one owner's part of a store: a module's on one host.
type Bucket interface {
	KV(name string) KV
	Archive(name string) Archive
	// Update runs fn in one transaction over all KVs of the bucket and returns when it is on disk. If fn returns an error
	// nothing is changed and Update returns it. fn runs on the writer's goroutine: it must be short and must not call the
	// store except through tx. A panic in fn becomes its error.
	Update(ctx context.Context, fn func(tx Tx) error) error
	// Start begins an Update and returns what waits for its outcome, which is to be called. Updates are made in the order in
	// which they began.
	Start(ctx context.Context, fn func(tx Tx) error) (outcome func() error)
	// View runs fn on one consistent state. fn must be short and must not call the store except through tx.
	View(ctx context.Context, fn func(tx Tx) error) error
}

// Tx is a transaction.
type Tx interface{ KV(name string) TxKV }

// TxKV is a KV within a transaction. Get returns nil for a missing key and not nil for an empty value. What Get and Scan
// hand out is valid only inside the function of the transaction and must not be changed. Writes fail in View.
type TxKV interface {
	Get(key []byte) ([]byte, error)
	Put(key, value []byte) error
	Delete(key []byte) error
	// Scan visits the keys with the prefix in order, from the given key on (nil: the first), until fn returns false. fn
	// may write: what it writes ahead of the key it is at is visited. Sound values beyond a damaged one are still
	// visited; the error at the end is then ErrCorrupt.
	Scan(prefix, from []byte, fn func(key, value []byte) bool) error
}

// KV is an ordered map from keys to values.
type KV interface {
	// Get returns a copy, or ErrNotFound.
	Get(ctx context.Context, key []byte) ([]byte, error)
	Put(ctx context.Context, key, value []byte) error
	// Delete removes a key; a missing one is no error.
	Delete(ctx context.Context, key []byte) error
	// Scan is TxKV's Scan over copies, without one transaction around it: it reads in portions, so that it may take long
	// without holding up writers. A key written or deleted meanwhile, by fn too, may be seen or not; all others are seen
	// once. Use View for one consistent state.
	Scan(ctx context.Context, prefix, from []byte, fn func(key, value []byte) bool) error
}

// Item is an entry of an archive.
type Item struct {
	ID       string    // given by Append: unique and rising within the archive, also when the clock goes back
	At       time.Time // UTC; zero: Append's time
	With     string    // bare JID of the other side; may be empty
	Resource string    // the rest of that JID; may be empty
	Data     []byte
}

// Entry is an item for an owner, with what the owner may have: if it is more, the oldest items go in the same
// transaction. Bounds that were lowered are reached after some entries, not at once.
type Entry struct {
	Owner    string
	Item     Item
	MaxItems int   // 0: no bound; the new item always stays
	MaxBytes int64 // of the items' data; 0: no bound
}

// Query selects a page of an archive (XEP-0313 §4.1, XEP-0059): all that fits between the times, with the bounds of
// IDs, Max items from the start or, if Last, from the end. An ID whose item is gone still marks its place; one that no
// Append can have given is ErrNotFound.
type Query struct {
	With          string
	Resource      string    // with With: of this JID alone; empty: whatever it is
	Start, End    time.Time // inclusive; zero: open
	After, Before string    // IDs, exclusive; empty: open
	Max           int       // 0: 50; at most MaxPage
	MaxBytes      int       // of the items' data; 0: MaxPageBytes, which is the most. A single larger item still comes
	Last          bool      // the page just before Before or the end; items still come in rising order
}

// Page is a part of an archive. Total is -1 where counting would cost more than the page.
type Page struct {
	Items    []Item
	Complete bool // there is nothing further in the direction of paging
	Total    int  // of all items that fit the query without After and Before
}

// Archive is an append-only list for each owner.
type Archive interface {
	// Append stores and returns the item's ID when it is on disk.
	Append(ctx context.Context, owner string, it Item) (id string, err error)
	// AppendAll stores all entries in one transaction, or none, and returns their IDs.
	AppendAll(ctx context.Context, entries ...Entry) (ids []string, err error)
	// Get returns an item by ID, or ErrNotFound.
	Get(ctx context.Context, owner, id string) (Item, error)
	// Page reads a page. A damaged item is left out; the sound ones then come together with ErrCorrupt. A page by Resource
	// looks at MaxVisited items with With at most; if it is not full by then, that is ErrLimit.
	Page(ctx context.Context, owner string, q Query) (Page, error)
	// Remove deletes items by ID; unknown ones are skipped.
	Remove(ctx context.Context, owner string, ids ...string) error
	// Expire deletes an owner's items older than t, in portions; an empty owner means all owners. A damaged item, whose
	// time is unknown, stays, and the error at the end is ErrCorrupt.
	Expire(ctx context.Context, owner string, t time.Time) (n int, err error)
	// Drop deletes everything of an owner.
	Drop(ctx context.Context, owner string) error
	// Stat returns the number of items of an owner and the bytes of their data, cheaply: counters are kept.
	Stat(ctx context.Context, owner string) (count int, bytes int64, err error)
}
