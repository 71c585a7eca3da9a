package config

import (
	"fmt"
	"os"
	"slices"
)

// WarnOpen warns of secrets that stand in a file which everybody on the machine can read. The options are those of a module's
// section that hold one; each has a sister with _key behind its name that names a key of mod_keystore instead.
func (c *Config) WarnOpen(section *Node, options ...string) {
	fi, err := os.Stat(c.Path)
	if err != nil || fi.Mode().Perm()&0o004 == 0 || section == nil {
		return
	}
	for _, option := range options {
		n := section.Keys[option]
		if n == nil || n.Value == "" {
			continue
		}
		w := Mistake{Line: n.Line, Path: n.Path, Text: fmt.Sprintf("everybody on this machine can read this secret: chmod o= %s, or name a key file with %s_key", c.Path, option)}
		if !slices.Contains(c.Warnings, w) {
			c.Warnings = append(c.Warnings, w)
		}
	}
}
