package keystore

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/storage"
)

// readFile reads the key in a file: one that nobody else can read or replace, of a size that a key has.
func readFile(path string) ([]byte, error) {
	key, err := storage.ReadSecretFile(path, maxFile)
	if err != nil {
		return nil, err
	}
	if len(key) < minSize {
		return nil, fmt.Errorf("%s has %d bytes, a key needs at least %d: make one with  head -c 64 /dev/urandom > %s", path, len(key), minSize, path)
	}
	return key, nil
}

// File is the file of a key that a configuration names, and what is wrong with it, if anything.
type File struct {
	Host, Key, Path string
	Err             error
}

// Files looks at the files of all keys of all hosts, as a start does.
func Files(cfg *config.Config) []File {
	var list []File
	for _, host := range cfg.General.Hosts {
		c, _, on := section(cfg, host)
		if !on {
			continue
		}
		for _, k := range c.Keys {
			if k.Type != TypeFile {
				continue
			}
			f := File{Host: host, Key: k.Name, Path: cfg.Resolve(k.Path)}
			if _, err := readFile(f.Path); err != nil {
				f.Err = fmt.Errorf("host %s: mod_keystore: key %q: %w", host, k.Name, err)
			}
			list = append(list, f)
		}
	}
	return list
}

// Names returns the names of the keys that a configuration gives to a host.
func Names(cfg *config.Config, host string) []string {
	c, _, on := section(cfg, host)
	if !on {
		return nil
	}
	list := make([]string, len(c.Keys))
	for i, k := range c.Keys {
		list[i] = k.Name
	}
	return list
}

// section decodes what a host has; on is false where the module is off there, or the section has mistakes, which are told
// where they are found.
func section(cfg *config.Config, host string) (c Config, n *config.Node, on bool) {
	n, off := cfg.Module(host, "mod_keystore")
	if n == nil || off {
		return c, n, false
	}
	errs := &config.Errors{}
	c = config.Decode(n, Config{RAMKeySize: defaultSize}, errs)
	return c, n, len(errs.List) == 0
}

// checkSharing refuses a file that is a key of several hosts unless that is written down: whoever can sign for one of them
// could sign for all.
func checkSharing(cfg *config.Config, errs *config.Errors) {
	type use struct {
		node  *config.Node
		at    string
		hosts []string
		open  bool // an entry without shared = true
	}
	var order []string
	uses := map[string]*use{}
	for _, host := range cfg.General.Hosts {
		c, n, on := section(cfg, host)
		if !on {
			continue
		}
		for i, k := range c.Keys {
			if k.Type != TypeFile {
				continue
			}
			path := filepath.Clean(cfg.Resolve(k.Path))
			u := uses[path]
			if u == nil {
				u = &use{}
				uses[path] = u
				order = append(order, path)
			}
			if !slices.Contains(u.hosts, host) {
				u.hosts = append(u.hosts, host)
			}
			if !k.Shared && !u.open {
				u.node, u.at, u.open = n, fmt.Sprintf("keys[%d].path", i), true
			}
		}
	}
	for _, path := range order {
		if u := uses[path]; u.open && len(u.hosts) > 1 {
			errs.AddIn(u.node, u.at, "is a key of several hosts, %s: who signs for one of them could sign for all; "+
				"give each a file of its own in its host_config, or write shared = true where that is meant", strings.Join(u.hosts, " and "))
		}
	}
}
