// Package caps announces the server's capabilities as a stream feature (XEP-0115 §6.3), so that clients that know them need
// not ask (questions for the node are answered by mod_disco), and knows those of clients, for mod_pep.
//
// # Implementation notes
//
//   - What a verification string stands for is believed when it has been verified, and is then known for all clients; until
//     then an answer holds for the client that gave it. Of clients with the same string three are asked at a time, so that
//     those that do not answer hold up nobody for long.
//   - There is one question about a client at a time, and an account has its share of those that wait: whoever announces
//     something new each second asks for answers of his own alone.
//   - Only the nodes that clients want to hear of are kept, in memory: after a restart one client of each kind is asked again.
//   - The lock is never held while a stanza is routed or a callback runs.
package caps

import (
	"context"
	"sync"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const (
	ns     = "http://jabber.org/protocol/caps"
	nsForm = "jabber:x:data"
)

// Config is [modules.mod_caps].
type Config struct {
	CacheSize int `toml:"cache_size" doc:"kinds of clients whose capabilities are remembered"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if c.CacheSize < 1 {
		errs.Add("cache_size", "must be at least 1, is %d", c.CacheSize)
	}
}

// Info describes mod_caps.
var Info = modules.Define(modules.Info{
	Name:    "mod_caps",
	Summary: "announces the server's capabilities, so that clients need not ask, and knows those of clients",
	Default: true,
	XEPs:    []modules.XEP{{Number: 115, Version: "1.6.0", Note: "presence is passed on with its capabilities each time (§8.4 is optional)"}},
}, Config{CacheSize: 10_000}, func(c Config) modules.Module {
	return newModule(c)
})

// key is a verification string, with the function that made it. Where that is none of ours, or there is none, client names
// the only one that it stands for.
type key struct{ hash, ver, client string }

type module struct {
	h *modules.Host

	mu        sync.Mutex
	cache     *modules.LRU[key, *Interest] // what verification strings stand for
	asks      map[key]*ask
	questions map[string]*question // that were asked, by the id of the request
	current   map[pair]*question   // all of them
	share     map[stanza.JID]int   // of an account's clients
	stopped   bool
}

func newModule(c Config) *module {
	return &module{cache: modules.NewLRU[key, *Interest](c.CacheSize, nil), asks: map[key]*ask{}, questions: map[string]*question{}, current: map[pair]*question{},
		share: map[stanza.JID]int{}}
}

// Start implements modules.Module.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	m.h = h
	ver := disco.Caps(h)
	h.Disco(modules.Server, ns)
	h.Stream(stream.Feature{
		Name: "caps",
		Need: stream.Authenticated,
		Append: func(dst []byte, _ *stream.Conn) []byte {
			v := ver()
			if v == "" {
				return dst
			}
			var x stanza.XML
			return append(dst, x.Empty("c", "xmlns", ns, "hash", "sha-1", "node", disco.Node, "ver", v).Bytes()...)
		},
	})
	h.Hooks.ToBare.On(modules.Check, m.answered)
	modules.Provide[Service](h, m)
	return nil
}

// Reload takes a changed section.
func (m *module) Reload(_ context.Context, c Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.cache.Resize(c.CacheSize)
	return nil
}

var (
	_ Service                  = (*module)(nil)
	_ modules.Reloader[Config] = (*module)(nil)
)
