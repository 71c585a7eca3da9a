package pep

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// The KVs. Neither a localpart nor an attribute can hold a zero byte (RFC 7622 §3.3, XML 1.0 §2.2).
const (
	kvNodes = "nodes" // localpart 0 node: record
	kvIndex = "index" // localpart 0 node 0 id: entry
	kvItems = "items" // localpart 0 node 0 place: payload
)

func accountKey(local string) []byte { return append([]byte(local), 0) }

func nodeKey(local, node string) []byte { return append(accountKey(local), node...) }

func indexKey(local, node, id string) []byte { return append(append(nodeKey(local, node), 0), id...) }

func itemKey(local, node string, seq uint64) []byte {
	return binary.BigEndian.AppendUint64(append(nodeKey(local, node), 0), seq)
}

// record is what is stored of a node besides its items.
type record struct {
	Created time.Time              `json:"created"`
	Config  Settings               `json:"config"`
	Affs    map[string]affiliation `json:"affiliations,omitempty"`
	Subs    []string               `json:"subscriptions,omitempty"`
}

func (n *node) record() ([]byte, error) {
	r := record{Created: n.created, Config: n.cfg}
	for j, a := range n.affs {
		if r.Affs == nil {
			r.Affs = map[string]affiliation{}
		}
		r.Affs[j.String()] = a
	}
	for _, j := range n.subs {
		r.Subs = append(r.Subs, j.String())
	}
	return json.Marshal(r)
}

func parseNode(name string, b []byte) (*node, error) {
	var r record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("node: %w", storage.ErrCorrupt)
	}
	n := &node{name: name, created: r.Created, cfg: r.Config}
	for s, a := range r.Affs {
		j, err := stanza.ParseJID(s)
		if err != nil {
			return nil, fmt.Errorf("node: %w", storage.ErrCorrupt)
		}
		if n.affs == nil {
			n.affs = map[stanza.JID]affiliation{}
		}
		n.affs[j] = a
	}
	for _, s := range r.Subs {
		j, err := stanza.ParseJID(s)
		if err != nil {
			return nil, fmt.Errorf("node: %w", storage.ErrCorrupt)
		}
		n.subs = append(n.subs, j)
	}
	return n, nil
}

// format is the version of an entry's record.
const format = 1

func (e *entry) record() []byte {
	b := binary.BigEndian.AppendUint64([]byte{format}, e.seq)
	b = binary.BigEndian.AppendUint64(b, uint64(e.at.UnixNano()))
	b = binary.BigEndian.AppendUint32(b, uint32(e.size))
	return append(b, e.by...)
}

func parseEntry(id string, b []byte) (entry, error) {
	if len(b) < 21 || b[0] != format {
		return entry{}, fmt.Errorf("item: %w", storage.ErrCorrupt)
	}
	return entry{
		id:   id,
		seq:  binary.BigEndian.Uint64(b[1:]),
		at:   time.Unix(0, int64(binary.BigEndian.Uint64(b[9:]))).UTC(),
		size: int(binary.BigEndian.Uint32(b[17:])),
		by:   string(b[21:]),
	}, nil
}

// load reads an account from disk.
func (m *module) load(ctx context.Context, local string) (*account, error) {
	a := &account{}
	prefix := accountKey(local)
	var bad error
	err := m.h.Store.View(ctx, func(tx storage.Tx) error {
		a.nodes, bad = nil, nil
		err := tx.KV(kvNodes).Scan(prefix, nil, func(key, value []byte) bool {
			var n *node
			if n, bad = parseNode(string(key[len(prefix):]), value); bad == nil {
				a.nodes = append(a.nodes, n)
			}
			return bad == nil
		})
		if err != nil || bad != nil {
			return errors.Join(err, bad)
		}
		err = tx.KV(kvIndex).Scan(prefix, nil, func(key, value []byte) bool {
			name, id, _ := bytes.Cut(key[len(prefix):], []byte{0})
			var e entry
			if e, bad = parseEntry(string(id), value); bad != nil {
				return false
			}
			if n := a.node(string(name)); n != nil {
				n.items = append(n.items, e)
			}
			return true
		})
		return errors.Join(err, bad)
	})
	if err != nil {
		return nil, fmt.Errorf("read nodes: %w", err)
	}
	for _, n := range a.nodes {
		slices.SortFunc(n.items, func(x, y entry) int { return int(int64(x.seq) - int64(y.seq)) })
	}
	return a, nil
}

// payload reads an item's.
func (m *module) payload(ctx context.Context, local, node string, seq uint64) ([]byte, error) {
	b, err := m.h.Store.KV(kvItems).Get(ctx, itemKey(local, node, seq))
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		err = fmt.Errorf("read item: %w", err)
	}
	return b, err
}

// dropBatch is how many records one transaction removes.
const dropBatch = 1000

// drop removes all that an account has.
func (m *module) drop(ctx context.Context, local string) error {
	l := &m.locks[stripe(local)]
	l.Lock()
	defer l.Unlock()
	m.cache.put(local, nil)
	for _, name := range []string{kvNodes, kvIndex, kvItems} {
		kv := m.h.Store.KV(name)
		for {
			var keys [][]byte
			err := kv.Scan(ctx, accountKey(local), nil, func(key, _ []byte) bool {
				keys = append(keys, bytes.Clone(key))
				return len(keys) < dropBatch
			})
			if err != nil && !errors.Is(err, storage.ErrCorrupt) {
				return err
			}
			if len(keys) == 0 {
				break
			}
			err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
				for _, k := range keys {
					if err := tx.KV(name).Delete(k); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// validNode tells whether a node can have that name; validID, an item.
func validNode(s string) bool { return s != "" && len(s) <= 1024 && !strings.ContainsRune(s, 0) }
func validID(s string) bool   { return s != "" && len(s) <= 3071 && !strings.ContainsRune(s, 0) } // an address fits
