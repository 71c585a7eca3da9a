// Package keystore keeps the keys that other modules sign with: some made at the start and never written, others read from
// files that an admin shares with whoever signs tokens elsewhere. It speaks no protocol.
//
// # Implementation notes
//
//   - Keys are raw bytes. No line break is trimmed off a file: what signs elsewhere reads the same bytes.
//   - A key that is not changed by a reload of the configuration stays what it is, so nobody is logged out by it.
//   - Keys are in locked memory where the system allows it. What was rotated out stays there until the process ends: somebody
//     may still verify with it.
//   - Nothing here prints a key. What people see of one is its fingerprint.
package keystore

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/secret"
)

// The sizes of keys in bytes.
const (
	minSize     = 32      // what HMAC-SHA-256 asks for (RFC 2104 §3)
	maxFile     = 4 << 10 // more than this in a file is something else
	maxRAM      = 1 << 20
	defaultSize = 2048
)

// The types of keys.
const (
	TypeRAM  = "ram"
	TypeFile = "file"
)

// Config is [modules.mod_keystore].
type Config struct {
	RAMKeySize int         `toml:"ram_key_size" doc:"bytes of a key of type ram"`
	Keys       []KeyConfig `toml:"keys" doc:"the keys of the host"`
}

// KeyConfig is an entry of keys.
type KeyConfig struct {
	Name   string `toml:"name,required" doc:"what modules ask for: token_secret, provision_pre_shared"`
	Type   string `toml:"type,required" doc:"ram (made at start, never written) or file"`
	Path   string `toml:"path" doc:"of type file: the file with the key's bytes"`
	Shared bool   `toml:"shared" doc:"of type file: several hosts may have the same"`
}

// Check checks what the types do not say.
func (c *Config) Check(errs *config.Errors) {
	if c.RAMKeySize < minSize {
		errs.Add("ram_key_size", "must be at least %d bytes, is %d", minSize, c.RAMKeySize)
	} else if c.RAMKeySize > maxRAM {
		errs.Add("ram_key_size", "must be at most %d bytes, is %d", maxRAM, c.RAMKeySize)
	}
	seen := map[string]int{}
	for i, k := range c.Keys {
		at := fmt.Sprintf("keys[%d]", i)
		if first, there := seen[k.Name]; there && k.Name != "" {
			errs.Add(at+".name", "%q is the name of keys[%d] already", k.Name, first)
		} else {
			seen[k.Name] = i
		}
		switch k.Type {
		case TypeRAM, "": // "": required, so that is said already
		case TypeFile:
			if k.Path == "" {
				errs.Add(at+".path", "is missing: a key of type file needs one")
			}
		default:
			errs.Add(at+".type", `must be "ram" or "file", is %q`, k.Type)
		}
	}
}

// Info describes mod_keystore.
var Info = modules.Define(modules.Info{
	Name:      "mod_keystore",
	Summary:   "keeps the keys that other modules sign with",
	CheckFile: checkSharing,
}, Config{RAMKeySize: defaultSize, Keys: []KeyConfig{}}, func(c Config) modules.Module { return &module{cfg: c} })

type module struct {
	h      *modules.Host
	source Source

	mu   sync.RWMutex
	cfg  Config
	keys map[string]*slot // by name: those of cfg
	kept map[string]*slot // by place: those there have been
}

// slot is a configured key.
type slot struct {
	KeyConfig
	path string // absolute; of type file
	keys Keys   // of type file, under module.mu; those of type ram are asked of the source
}

// place tells whether two entries mean the same key.
func (s *slot) place() string { return s.Type + "\x00" + s.Name + "\x00" + s.path }

// Start implements modules.Module.
func (m *module) Start(ctx context.Context, h *modules.Host) error {
	m.h, m.kept = h, map[string]*slot{}
	if src, err := modules.Find[Source](h); err == nil {
		m.source = src
	} else {
		m.source = newMemory(func(b []byte) []byte { return lock(h.Log, b) })
	}
	modules.Provide[Service](h, m)
	return m.Reload(ctx, m.cfg)
}

// Stop implements modules.Module.
func (m *module) Stop(context.Context) error { return nil }

// Reload implements modules.Reloader: keys that the configuration names as before stay as they are, those of type ram with
// the size that they have. A file is read when it is new here.
func (m *module) Reload(_ context.Context, cfg Config) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[string]*slot, len(cfg.Keys))
	for _, k := range cfg.Keys {
		s := &slot{KeyConfig: k}
		if k.Type == TypeFile {
			s.path = m.h.Config.Resolve(k.Path)
		}
		if now := m.keys[k.Name]; now != nil && now.place() == s.place() {
			next[k.Name] = now
			continue
		}
		was := m.kept[s.place()] // it comes back, perhaps because a reload failed elsewhere
		switch {
		case k.Type == TypeFile:
			key, err := m.read(s)
			if err != nil {
				return err
			}
			s.keys.Current = key
			if was != nil && equal(was.keys.Current, key) {
				s = was
			}
		case was != nil:
			s = was
		}
		next[k.Name] = s
	}
	fresh := map[string]bool{}
	for name, s := range next {
		fresh[name] = m.keys[name] != s
	}
	before, size := m.keys, m.cfg.RAMKeySize
	m.keys, m.cfg.RAMKeySize = next, cfg.RAMKeySize
	for _, k := range cfg.Keys {
		d, err := m.describe(next[k.Name])
		if err != nil {
			m.keys, m.cfg.RAMKeySize = before, size
			return err
		}
		if fresh[k.Name] {
			m.h.Log.Info("key ready", "key", d.Name, "type", d.Type, "bytes", d.Size, "fingerprint", d.Fingerprint)
		}
	}
	m.cfg = cfg
	for _, s := range next {
		m.kept[s.place()] = s
	}
	return nil
}

// read reads a slot's file.
func (m *module) read(s *slot) ([]byte, error) {
	b, err := readFile(s.path)
	if err != nil {
		return nil, fmt.Errorf("key %q: %w", s.Name, err)
	}
	key := lock(m.h.Log, b)
	if key[len(key)-1] == '\n' {
		m.h.Log.Info("the key's last byte is a line feed, and it counts: whoever signs must use it too", "key", s.Name, "file", s.path)
	}
	return key, nil
}

// lock moves a key to memory that is neither swapped out nor dumped, if the system has it so.
func lock(log *slog.Logger, b []byte) []byte {
	k, err := secret.Lock(b)
	if err != nil {
		log.Debug("the memory of a key is not locked", "err", err)
	}
	return k.Bytes()
}

// GetKey implements Service.
func (m *module) GetKey(name string) ([]byte, error) {
	k, err := m.Keys(name)
	return k.Current, err
}

// Keys implements Service.
func (m *module) Keys(name string) (Keys, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	s := m.keys[name]
	if s == nil {
		return Keys{}, fmt.Errorf("%w: %q", ErrNoKey, name)
	}
	return m.of(s)
}

// of returns the keys of a slot. m.mu is held.
func (m *module) of(s *slot) (Keys, error) {
	if s.Type == TypeFile {
		return s.keys, nil
	}
	k, err := m.source.Keys(ID{m.h.Name, s.Name}, m.cfg.RAMKeySize)
	if err == nil && len(k.Current) < minSize {
		err = fmt.Errorf("the source gave %d bytes", len(k.Current))
	}
	if err != nil {
		return Keys{}, fmt.Errorf("key %q: %w: %w", s.Name, ErrBackend, err)
	}
	return k, nil
}

// describe says what people may know of a slot. m.mu is held.
func (m *module) describe(s *slot) (Key, error) {
	k, err := m.of(s)
	if err != nil {
		return Key{}, err
	}
	d := Key{Name: s.Name, Type: s.Type, Path: s.path, Size: len(k.Current), Fingerprint: Fingerprint(k.Current)}
	if k.Previous != nil {
		d.Previous = Fingerprint(k.Previous)
	}
	return d, nil
}

// List implements Service.
func (m *module) List() ([]Key, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]Key, 0, len(m.keys))
	for _, s := range m.keys {
		d, err := m.describe(s)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	slices.SortFunc(list, func(a, b Key) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}

// Rotate implements Service.
func (m *module) Rotate(name, by string) (d Key, err error) {
	m.mu.RLock()
	s, size := m.keys[name], m.cfg.RAMKeySize
	m.mu.RUnlock()
	switch {
	case s == nil:
		return d, fmt.Errorf("%w: %q", ErrNoKey, name)
	case s.Type == TypeFile:
		if err := m.renew(s); err != nil {
			return d, err
		}
	default: // not under the lock: the source may have others to ask, and keys are verified with meanwhile
		if _, err := m.source.Rotate(ID{m.h.Name, name}, size); err != nil {
			return d, fmt.Errorf("key %q: %w: %w", name, ErrBackend, err)
		}
	}
	m.mu.RLock()
	d, err = m.describe(s)
	m.mu.RUnlock()
	if err == nil {
		m.h.Log.Info("key rotated", "key", d.Name, "type", d.Type, "bytes", d.Size, "fingerprint", d.Fingerprint,
			"previous", d.Previous, "by", by)
	}
	return d, err
}

// renew reads a slot's file again.
func (m *module) renew(s *slot) error {
	key, err := m.read(s)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if equal(key, s.keys.Current) {
		return fmt.Errorf("key %q: %w: %s", s.Name, ErrUnchanged, s.path)
	}
	s.keys = Keys{Current: key, Previous: s.keys.Current}
	return nil
}
