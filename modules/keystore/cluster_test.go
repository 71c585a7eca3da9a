package keystore

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
)

// bus is what a cluster's nodes have in common, as a module that joins them would make it: of the keys that they propose the first
// one wins, and all are gone when nobody is left.
type bus struct {
	mu    sync.Mutex
	nodes int
	keys  map[ID]Keys
	asked int // proposals
}

// node is one server's end of the bus, the module that provides the Source.
type node struct {
	bus  *bus
	down bool // the bus cannot be reached
}

func (n *node) Start(_ context.Context, h *modules.Host) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	n.bus.nodes++
	modules.Provide[Source](h, n)
	return nil
}

func (n *node) Stop(context.Context) error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if n.bus.nodes--; n.bus.nodes == 0 {
		n.bus.keys = nil
	}
	return nil
}

// Keys implements Source.
func (n *node) Keys(id ID, size int) (Keys, error) {
	return n.change(id, func(now Keys) Keys {
		if now.Current == nil {
			now.Current = random(size)
			n.bus.asked++
		}
		return now
	})
}

// Rotate implements Source.
func (n *node) Rotate(id ID, size int) (Keys, error) {
	return n.change(id, func(now Keys) Keys { return Keys{Current: random(size), Previous: now.Current} })
}

func (n *node) change(id ID, fn func(Keys) Keys) (Keys, error) {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if n.down {
		return Keys{}, errors.New("no answer from the bus")
	}
	if n.bus.keys == nil {
		n.bus.keys = map[ID]Keys{}
	}
	k := fn(n.bus.keys[id])
	n.bus.keys[id] = k
	return k, nil
}

func (n *node) info() modules.Info {
	return modules.Define(modules.Info{Name: "mod_cluster"}, struct{}{}, func(struct{}) modules.Module { return n })
}

// member is a server of the cluster.
type member struct {
	*node
	h *modtest.Host
}

func (b *bus) join(t *testing.T) *member {
	t.Helper()
	n := &node{bus: b}
	return &member{n, modtest.NewConfig(t, "a.test", ram, n.info(), Info)}
}

func (m *member) leave(t *testing.T) {
	t.Helper()
	if err := m.h.Loader.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (m *member) keys(t *testing.T) Keys {
	t.Helper()
	k, err := service(t, m.h).Keys("k")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// K35 beyond one server: the nodes of a cluster have one key, which is there as long as one of them is.
func TestClusterRAMKey(t *testing.T) {
	b := &bus{}
	cluster := []*member{b.join(t), b.join(t), b.join(t)}
	first := cluster[0].keys(t).Current
	agree := func(when string, current, previous []byte) {
		t.Helper()
		for i, m := range cluster {
			if k := m.keys(t); !bytes.Equal(k.Current, current) || !bytes.Equal(k.Previous, previous) {
				t.Errorf("%s: node %d has another key", when, i)
			}
		}
	}
	agree("K35 joined", first, nil)
	for i := range cluster { // each in turn, the one that made the key too
		cluster[i].leave(t)
		cluster[i] = b.join(t)
		agree("K35 one node was started anew", first, nil)
	}
	if b.asked != 1 {
		t.Errorf("%d proposals were taken, wanted the first", b.asked)
	}

	// What one node rotates is rotated for all, and the old key verifies everywhere.
	d, err := service(t, cluster[1].h).Rotate("k", "a test")
	if err != nil {
		t.Fatal(err)
	}
	second := cluster[0].keys(t).Current
	if bytes.Equal(first, second) || d.Fingerprint != Fingerprint(second) {
		t.Error("rotation changed nothing")
	}
	agree("rotated", second, first)

	// One that does not reach the others has no key of its own, and gets it back.
	cluster[2].down = true
	if _, err := service(t, cluster[2].h).GetKey("k"); !errors.Is(err, ErrBackend) {
		t.Errorf("cut off: %v", err)
	}
	cluster[2].down = false
	agree("reached again", second, first)

	for _, m := range cluster {
		m.leave(t)
	}
	cluster = []*member{b.join(t), b.join(t), b.join(t)}
	third := cluster[0].keys(t).Current
	if bytes.Equal(third, first) || bytes.Equal(third, second) {
		t.Error("K35 all were started anew, and the key is still there")
	}
	agree("K35 all were started anew", third, nil)
}

// Nodes that start at the same time agree as well.
func TestClusterStart(t *testing.T) {
	b := &bus{}
	keys := make([][]byte, 8)
	var wg sync.WaitGroup
	members := make([]*member, len(keys))
	for i := range members {
		n := &node{bus: b}
		wg.Go(func() {
			h, err := modtest.TryConfig(t, "a.test", ram, n.info(), Info)
			if err != nil {
				t.Error(err)
				return
			}
			members[i] = &member{n, h}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	for i, m := range members {
		keys[i] = m.keys(t).Current
	}
	if n := len(slices.CompactFunc(keys, bytes.Equal)); n != 1 || b.asked != 1 {
		t.Errorf("%d keys of %d proposals", n, b.asked)
	}
}
