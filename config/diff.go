package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a change takes.
const (
	Live            = "live"             // in force with the reload
	ListenerRestart = "listener restart" // the listener is closed and opened anew; connections stay
	ServerRestart   = "server restart"   // has no effect before
)

// Change is an option that two versions of the file do not have alike. Old and New are as in the file; an option of a
// module that is not written is "(default)", a secret is "(secret)".
type Change struct{ Key, Old, New, Takes string }

const (
	secretText  = "(secret)"
	defaultText = "(default)"
)

// takes names the options that need more than a reload.
var takes = map[string]string{
	"general.data_dir": ServerRestart,
	"storage.driver":   ServerRestart,
	"c2s.listen":       ListenerRestart,
	"c2s.listen_tls":   ListenerRestart,
	"s2s.listen":       ListenerRestart,
	"s2s.listen_tls":   ListenerRestart,
	"c2s.transport":    ServerRestart,
}

// Diff lists what changes from one configuration to another: first the core's options in the order of doc/config.md, then
// those of modules, then those of hosts.
func Diff(old, new *Config) (changes []Change) {
	was, is := old.sections(), new.sections()
	for i := range is {
		a, b := reflect.ValueOf(was[i].Defaults), reflect.ValueOf(is[i].Defaults)
		for _, f := range fieldsOf(a.Type()) {
			key := is[i].Name + "." + f.key
			c := Change{Key: key, Old: format(a.FieldByIndex(f.index)), New: format(b.FieldByIndex(f.index)), Takes: takes[key]}
			if c.Old == c.New {
				continue
			}
			if c.Takes == "" {
				c.Takes = Live
			}
			if f.secret {
				c.Old, c.New = secretText, secretText
			}
			changes = append(changes, c)
		}
	}
	changes = append(changes, diffNodes("modules", tableOf(old.Modules), tableOf(new.Modules))...)

	hosts := map[string]bool{}
	for _, c := range []*Config{old, new} {
		for h := range c.Hosts {
			hosts[h] = true
		}
	}
	none := &HostConfig{}
	for _, host := range slices.Sorted(maps.Keys(hosts)) {
		a, b := none, none
		if h := old.Hosts[host]; h != nil {
			a = h
		}
		if h := new.Hosts[host]; h != nil {
			b = h
		}
		path := hostConfigKey + " " + strconv.Quote(host)
		from, to := format(reflect.ValueOf(a.DisabledModules)), format(reflect.ValueOf(b.DisabledModules))
		if from != to {
			changes = append(changes, Change{Key: path + " disabled_modules", Old: from, New: to, Takes: Live})
		}
		changes = append(changes, diffNodes(path+" s2s", a.S2S, b.S2S)...)
		changes = append(changes, diffNodes(path+" modules", tableOf(a.Modules), tableOf(b.Modules))...)
	}
	return changes
}

// sections lists the core's sections with the values of a configuration.
func (c *Config) sections() []Section {
	return []Section{
		{Name: "general", Defaults: c.General}, {Name: "tls", Defaults: c.TLS}, {Name: "c2s", Defaults: c.C2S},
		{Name: "s2s", Defaults: c.S2S}, {Name: "auth", Defaults: c.Auth}, {Name: "storage", Defaults: c.Storage},
		{Name: "limits", Defaults: c.Limits},
	}
}

func tableOf(m map[string]*Node) *Node {
	n := newTable(0)
	for _, k := range slices.Sorted(maps.Keys(m)) {
		n.put(k, m[k])
	}
	return n
}

// diffNodes compares two tables that no type is known of, key by key.
func diffNodes(path string, a, b *Node) (changes []Change) {
	keys := map[string]bool{}
	for _, n := range []*Node{a, b} {
		if n != nil {
			for _, k := range n.Order {
				keys[k] = true
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		key, x, y := path+"."+quoteKey(k), a.child(k), b.child(k)
		if (x == nil || x.Table()) && (y == nil || y.Table()) {
			inner := diffNodes(key, x, y)
			if len(inner) == 0 && (x == nil) != (y == nil) {
				inner = []Change{{Key: key, Old: formatNode(x, k), New: formatNode(y, k), Takes: Live}}
			}
			changes = append(changes, inner...)
			continue
		}
		if from, to := formatRaw(x), formatRaw(y); from != to {
			changes = append(changes, Change{Key: key, Old: formatNode(x, k), New: formatNode(y, k), Takes: Live})
		}
	}
	return changes
}

// isSecret tells whether a module's option holds a secret. No type is at hand here, so the name decides.
func isSecret(key string) bool {
	for _, end := range []string{"secret", "password", "seed", "psk", "token"} {
		if strings.HasSuffix(key, end) {
			return true
		}
	}
	return false
}

// formatNode writes a node as a file would, without secrets.
func formatNode(n *Node, key string) string { return formatTree(n, key, true) }

// formatRaw is formatNode with secrets, to compare.
func formatRaw(n *Node) string { return formatTree(n, "", false) }

func formatTree(n *Node, key string, hide bool) string {
	if n == nil {
		return defaultText
	}
	if n.Table() {
		parts := make([]string, len(n.Order))
		for i, k := range n.Order {
			parts[i] = quoteKey(k) + " = " + formatTree(n.Keys[k], k, hide)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	switch v := n.Value.(type) {
	case []*Node:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = formatTree(e, key, hide)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case string:
		if hide && isSecret(key) {
			return secretText
		}
		return strconv.Quote(v)
	case time.Time:
		return v.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(n.Value)
}
