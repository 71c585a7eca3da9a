package config

import (
	"regexp"
	"strings"
)

var (
	exampleHeader = regexp.MustCompile(`^#?\s*\[\[?\s*([\w.-]+)\s*\]\]?`)
	exampleKey    = regexp.MustCompile(`^#?\s*([\w.-]+)\s*=`)
	exampleInner  = regexp.MustCompile(`([\w.-]+)\s*=`)
)

// MissingOptions lists the options of the core and of modules that a file does not name, for the test of
// config.example.toml. An option counts where it is set or where its line is commented out (#key = value); keys of a
// table within a value count by their names.
func MissingOptions(example []byte, sections []Section) (missing []string) {
	named := map[string]bool{}
	section, last := "", ""
	for line := range strings.Lines(string(example)) {
		line = strings.TrimSpace(line)
		if m := exampleHeader.FindStringSubmatch(line); m != nil {
			section, last = m[1], ""
			named[section] = true
			continue
		}
		inner := line
		if m := exampleKey.FindStringSubmatch(line); m != nil {
			last = section + "." + m[1]
			inner = line[len(m[0]):]
			for i, c := range last {
				if c == '.' {
					named[last[:i]] = true
				}
			}
			named[last] = true
		} else if !strings.HasPrefix(strings.TrimLeft(line, "# \t["), "{") {
			continue // prose
		}
		for _, m := range exampleInner.FindAllStringSubmatch(inner, -1) {
			named[last+"."+m[1]] = true
		}
	}
	all := append(coreSections(), Section{Name: hostConfigKey, Defaults: HostConfig{}})
	for _, s := range sections {
		s.Name = "modules." + s.Name
		all = append(all, s)
	}
	for _, s := range all {
		if !named[s.Name] {
			missing = append(missing, "["+s.Name+"]")
		}
		for _, o := range Describe(s.Defaults) {
			if key := s.Name + "." + strings.ReplaceAll(o.Key, "[]", ""); !named[key] {
				missing = append(missing, s.Name+"."+o.Key)
			}
		}
	}
	return missing
}
