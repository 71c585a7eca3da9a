package config

import (
	"fmt"
	"maps"
	"slices"
)

// takeHosts checks the [[host_config]] sections and keeps those of the hosts that are served.
func (c *Config) takeHosts(root *Node, sections []HostConfig, known []Section, errs *Errors) {
	var nodes []*Node
	if n := root.child(hostConfigKey); n != nil {
		nodes, _ = n.Value.([]*Node)
	}
	if len(nodes) != len(sections) {
		return // a wrong type: said already
	}
	listed, named := root.lookup("general.hosts")
	if !named && len(sections) > 0 && !errs.partial {
		// The sections themselves say which hosts there are.
		c.General.Hosts = nil
	}
	served := make(map[string]bool, len(c.General.Hosts))
	for _, h := range c.General.Hosts {
		served[h] = true
	}
	lines := map[string]int{}
	lookups := 100_000 // comparisons of names in all: with thousands of hosts, a slip of the pen becomes a mere warning
	for i := range sections {
		h, n := &sections[i], nodes[i]
		h.Line = n.Line
		errs.at = n
		c.checkDisabled(h, known, errs)
		if h.Host == "" {
			if _, there := n.lookup("host"); there {
				errs.Add("host", "must name a host")
			}
			continue
		}
		name, ok := domain(h.Host)
		if !ok {
			errs.Add("host", "%q is not a domain name", h.Host)
			continue
		}
		if first, there := lines[name]; there {
			errs.Add("", "the host has a section already, on line %d", first)
			continue
		}
		lines[name] = n.Line
		h.Host = name
		switch {
		case served[name]:
		case !named:
			c.General.Hosts = append(c.General.Hosts, name)
		case errs.partial:
		default:
			best, distance := "", -1
			if lookups -= len(c.General.Hosts); lookups > 0 {
				best, distance = nearest(name, c.General.Hosts)
			}
			if near(name, distance) {
				errs.Add("host", "is not in general.hosts (line %d); the nearest that is there is %q", listed.Line, best)
			} else {
				c.warn(n, "the host is not in general.hosts (line %d): it is not served, and the section has no effect", listed.Line)
			}
			c.checkOverlays(h, known, errs)
			continue
		}
		c.Hosts[name] = h
	}
	errs.at = nil
}

// checkDisabled checks the names in disabled_modules. errs is at the section.
func (c *Config) checkDisabled(h *HostConfig, known []Section, errs *Errors) {
	for i, m := range h.DisabledModules {
		if find(known, m) == nil {
			best, _ := nearest(m, names(known))
			errs.Add(indexed("disabled_modules", i), "%s", unknownModule(best))
		}
	}
}

// checkModules checks the sections of modules as each host sees them. A section that every host lays something over is
// only looked at together with that: alone it may be incomplete.
func (c *Config) checkModules(known []Section, errs *Errors) {
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		n, s := c.Modules[name], find(known, name)
		if s == nil {
			best, _ := nearest(name, names(known))
			errs.addAt(n, "%s", unknownModule(best))
			continue
		}
		plain := func(host string) bool { h := c.Hosts[host]; return h == nil || h.Modules[name] == nil }
		if len(c.General.Hosts) == 0 || slices.ContainsFunc(c.General.Hosts, plain) {
			checkSection(s, n, errs)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(c.Hosts)) {
		c.checkOverlays(c.Hosts[host], known, errs)
	}
	for _, s := range known {
		if s.Across != nil {
			s.Across(c, errs)
		}
	}
}

// checkOverlays checks the modules' sections of one host.
func (c *Config) checkOverlays(h *HostConfig, known []Section, errs *Errors) {
	for _, name := range slices.Sorted(maps.Keys(h.Modules)) {
		n, s := h.Modules[name], find(known, name)
		if s == nil {
			best, _ := nearest(name, names(known))
			errs.addAt(n, "%s", unknownModule(best))
			continue
		}
		checkSection(s, overlay(n, c.Modules[name]), errs)
	}
}

// checkSection runs a module's check with the mistakes placed in its section.
func checkSection(s *Section, n *Node, errs *Errors) {
	before := errs.at
	errs.at = n
	s.Check(n, errs)
	errs.at = before
}

// indexed writes the path of an element of a list.
func indexed(key string, i int) string { return fmt.Sprintf("%s[%d]", key, i) }

func unknownModule(best string) string {
	if best == "" {
		return "unknown module; there are none"
	}
	return "unknown module; the nearest that exists is " + best
}

func find(sections []Section, name string) *Section {
	for i := range sections {
		if sections[i].Name == name {
			return &sections[i]
		}
	}
	return nil
}

func names(sections []Section) []string {
	list := make([]string, len(sections))
	for i, s := range sections {
		list[i] = s.Name
	}
	return list
}

// Module returns the section of a module for a host: host_config laid over the global one, key by key; nil where neither
// has one (then the defaults hold). off says that disabled_modules names it.
func (c *Config) Module(host, name string) (n *Node, off bool) {
	n = c.Modules[name]
	h := c.Hosts[host]
	if h == nil {
		return n, false
	}
	return overlay(h.Modules[name], n), slices.Contains(h.DisabledModules, name)
}
