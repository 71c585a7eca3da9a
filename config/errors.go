package config

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Errors collects the mistakes of a file. While a section is decoded it knows where it is, so that a module's Check can
// say errs.Add("ram_key_size", "must be at least 32 bytes, is %d", n) and the message has the line of that key.
type Errors struct {
	File string
	List []Mistake
	at   *Node
	// partial says that a syntax error hid a part of the file: what is missing may only be unread.
	partial bool
	seen    map[Mistake]bool
}

// maxMistakes bounds an answer, and the work on a file that is none of ours.
const maxMistakes = 1000

// Mistake is one line of an answer to the admin.
type Mistake struct {
	Line int
	Path string
	Text string
}

// Add notes a mistake of a key of the section being decoded: dotted for nested keys, with an index for a list
// ("keys[1].path"), empty for the section itself. A key that is not in the file has the line of what would hold it.
func (e *Errors) Add(key, format string, args ...any) {
	n, found := e.at.lookup(key)
	m := Mistake{Text: fmt.Sprintf(format, args...)}
	if n != nil {
		m.Line = n.Line
	}
	if found {
		m.Path = n.Path
	} else if e.at != nil {
		m.Path = join(e.at.Path, key)
	} else {
		m.Path = key
	}
	e.add(m)
}

// AddIn is Add for a key of any section, for those who look at several.
func (e *Errors) AddIn(section *Node, key, format string, args ...any) {
	before := e.at
	e.at = section
	e.Add(key, format, args...)
	e.at = before
}

// addAt notes a mistake of a value of the file.
func (e *Errors) addAt(n *Node, format string, args ...any) {
	e.add(Mistake{Line: n.Line, Path: n.Path, Text: fmt.Sprintf(format, args...)})
}

// add keeps a mistake once: a section that several hosts inherit is decoded for each of them.
func (e *Errors) add(m Mistake) {
	if e.seen[m] || e.full() {
		return
	}
	if e.seen == nil {
		e.seen = map[Mistake]bool{}
	}
	e.seen[m] = true
	e.List = append(e.List, m)
}

func (e *Errors) full() bool { return len(e.List) >= maxMistakes }

// Error prints one mistake a line: config.toml:14: general.hosts: …
func (e *Errors) Error() string {
	lines := make([]string, len(e.List))
	for i, m := range e.List {
		lines[i] = m.In(e.File)
	}
	return strings.Join(lines, "\n")
}

// In prints a mistake of a file: config.toml:14: general.hosts: …
func (m Mistake) In(file string) string {
	var b strings.Builder
	b.WriteString(file)
	if m.Line > 0 {
		if b.Len() > 0 {
			b.WriteByte(':')
		} else {
			b.WriteString("line ")
		}
		b.WriteString(strconv.Itoa(m.Line))
	}
	for _, part := range []string{m.Path, m.Text} {
		if part == "" {
			continue
		}
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(part)
	}
	return b.String()
}

// sort orders the mistakes by line; those of one line stay as they were found.
func sortMistakes(list []Mistake) {
	slices.SortStableFunc(list, func(a, b Mistake) int { return a.Line - b.Line })
}

// lookup follows a path such as keys[1].name as far as it goes. found tells whether it went to the end.
func (n *Node) lookup(path string) (at *Node, found bool) {
	at = n
	for path != "" && at != nil {
		var next *Node
		if rest, ok := strings.CutPrefix(path, "["); ok {
			digits, after, ended := strings.Cut(rest, "]")
			i, err := strconv.Atoi(digits)
			if list, ok := at.Value.([]*Node); ok && ended && err == nil && i >= 0 && i < len(list) {
				next = list[i]
			}
			path = strings.TrimPrefix(after, ".")
		} else {
			end := strings.IndexAny(path, ".[")
			if end < 0 {
				end = len(path)
			}
			next = at.child(path[:end])
			path = strings.TrimPrefix(path[end:], ".")
		}
		if next == nil {
			return at, false
		}
		at = next
	}
	return at, at != nil
}

// join appends a key to a path. A host_config's own path ends in the quoted host, which a blank follows.
func join(path, key string) string {
	switch {
	case path == "":
		return key
	case key == "" || key[0] == '[':
		return path + key
	case path[len(path)-1] == '"' && strings.HasPrefix(path, hostConfigKey+" "):
		if strings.Count(path, `"`) == 2 {
			return path + " " + key
		}
	}
	return path + "." + key
}
