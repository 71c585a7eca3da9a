package config

import (
	"bytes"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Bounds of a file. They keep the work on a hostile or mistaken one small and are far from what a server needs.
const (
	maxFile  = 1 << 20
	maxDepth = 16 // parts of a dotted key, and tables and lists within a value
	maxKey   = 128
)

// hostConfigKey is the one list of tables whose elements are named by their host in messages.
const hostConfigKey = "host_config"

// role says how a table came to be, which decides who may add to it (TOML 1.0, "Keys" and "Table").
type role uint8

const (
	closed   role = iota // a plain value, or an inline table: nobody
	implicit             // named on the way by the header of a table under it: its own header, once
	header               // by its own header: headers of tables under it
	dotted               // by a dotted key: further dotted keys
	list                 // by [[header]]: further [[header]]s
)

// builder makes a tree of Nodes of a file.
type builder struct {
	data  []byte
	lines []int // offset of each line's first byte
	errs  *Errors
	root  *Node
	table *Node // where keys go now
	roles map[*Node]role
	// late holds mistakes whose path is known when the tree is complete.
	late []lateMistake
}

type lateMistake struct {
	n    *Node
	line int
	text string
}

// parseTree reads a file. Mistakes of form go to errs; what could be read is in the tree nonetheless.
func parseTree(data []byte, errs *Errors) *Node {
	b := &builder{data: data[:len(data):len(data)], errs: errs, root: newTable(1), roles: map[*Node]role{}}
	b.lines = append(b.lines, 0)
	for i, c := range b.data {
		if c == '\n' {
			b.lines = append(b.lines, i+1)
		}
	}
	b.roles[b.root] = header
	b.table = b.root
	b.run()
	setPaths(b.root, "")
	for _, m := range b.late {
		errs.add(Mistake{Line: m.line, Path: m.n.Path, Text: m.text})
	}
	return b.root
}

// line returns the line of an offset.
func (b *builder) line(offset int) int {
	return sort.Search(len(b.lines), func(i int) bool { return b.lines[i] > offset })
}

// add takes one expression: a header or a key with its value. base is where the parser's data starts.
func (b *builder) add(p *unstable.Parser, e *unstable.Node, base int) {
	keys, line, ok := b.key(e.Key(), base)
	switch {
	case !ok && e.Kind != unstable.KeyValue:
		b.table = newTable(line)
	case !ok:
	case e.Kind == unstable.Table:
		b.table = b.openTable(keys, line)
	case e.Kind == unstable.ArrayTable:
		b.table = b.openList(keys, line)
	default:
		b.set(b.table, keys, line, e.Value(), base, 0)
	}
}

// key returns the parts of a dotted key.
func (b *builder) key(it unstable.Iterator, base int) (parts []string, line int, ok bool) {
	ok = true
	for it.Next() {
		k := it.Node()
		if line == 0 {
			line = b.line(base + int(k.Raw.Offset))
		}
		if len(k.Data) > maxKey {
			b.errs.add(Mistake{Line: line, Text: fmt.Sprintf("a key is longer than %d bytes", maxKey)})
			ok = false
		}
		parts = append(parts, string(k.Data))
	}
	if len(parts) > maxDepth {
		b.errs.add(Mistake{Line: line, Text: fmt.Sprintf("a key has more than %d parts", maxDepth)})
		ok = false
	}
	return parts, line, ok
}

// descend goes to the table that holds the last part of a header's key.
func (b *builder) descend(keys []string, line int) *Node {
	n := b.root
	for _, k := range keys[:len(keys)-1] {
		next := n.Keys[k]
		switch {
		case next == nil:
			next = newTable(line)
			b.roles[next] = implicit
			n.put(k, next)
		case b.roles[next] == list:
			l := next.Value.([]*Node)
			next = l[len(l)-1]
		case b.roles[next] == closed:
			b.already(next, line)
			return newTable(line)
		}
		n = next
	}
	return n
}

// openTable handles [a.b].
func (b *builder) openTable(keys []string, line int) *Node {
	in, name := b.descend(keys, line), keys[len(keys)-1]
	n := in.Keys[name]
	if n == nil {
		n = newTable(line)
		b.roles[n] = header
		in.put(name, n)
		return n
	}
	switch b.roles[n] {
	case implicit:
		b.roles[n], n.Line = header, line
		return n
	case header, dotted:
		b.already(n, line)
		return n
	case list:
		b.late = append(b.late, lateMistake{n, line, fmt.Sprintf("is a list of tables since line %d: write [[%s]] for one more", n.Line, strings.Join(keys, "."))})
	default:
		b.already(n, line)
	}
	return newTable(line)
}

// openList handles [[a.b]].
func (b *builder) openList(keys []string, line int) *Node {
	in, name := b.descend(keys, line), keys[len(keys)-1]
	element := newTable(line)
	b.roles[element] = header
	n := in.Keys[name]
	switch {
	case n == nil:
		n = &Node{Line: line, Value: []*Node{element}}
		b.roles[n] = list
		in.put(name, n)
	case b.roles[n] == list:
		n.Value = append(n.Value.([]*Node), element)
	case n.Table():
		b.late = append(b.late, lateMistake{n, line, fmt.Sprintf("is one table since line %d: write [[%s]] there too", n.Line, strings.Join(keys, "."))})
	default:
		b.already(n, line)
	}
	return element
}

// set handles a.b = value within a table, which may be an inline one.
func (b *builder) set(in *Node, keys []string, line int, v *unstable.Node, base, depth int) {
	for _, k := range keys[:len(keys)-1] {
		next := in.Keys[k]
		switch {
		case next == nil:
			next = newTable(line)
			b.roles[next] = dotted
			in.put(k, next)
		case b.roles[next] != dotted:
			b.already(next, line)
			return
		}
		in = next
	}
	name := keys[len(keys)-1]
	if there := in.Keys[name]; there != nil {
		b.already(there, line)
		return
	}
	if n := b.value(v, line, base, depth); n != nil {
		n.Line = line
		in.put(name, n)
	}
}

// already notes a key or table that the file has twice.
func (b *builder) already(n *Node, line int) {
	b.late = append(b.late, lateMistake{n, line, fmt.Sprintf("is there already, on line %d", n.Line)})
}

// value makes a Node of a value, or nil where it has a mistake.
func (b *builder) value(v *unstable.Node, line, base, depth int) *Node {
	if v.Raw.Length > 0 {
		line = b.line(base + int(v.Raw.Offset))
	}
	n := &Node{Line: line}
	if depth > maxDepth {
		b.errs.add(Mistake{Line: line, Text: fmt.Sprintf("more than %d lists and tables within each other", maxDepth)})
		return nil
	}
	switch v.Kind {
	case unstable.Array:
		elements := []*Node{}
		for it := v.Children(); it.Next(); {
			if e := b.value(it.Node(), line, base, depth+1); e != nil {
				elements = append(elements, e)
				line = e.Line
			}
		}
		n.Value = elements
	case unstable.InlineTable:
		n.Keys = map[string]*Node{}
		for it := v.Children(); it.Next(); {
			kv := it.Node()
			if keys, line, ok := b.key(kv.Key(), base); ok {
				b.set(n, keys, line, kv.Value(), base, depth+1)
			}
		}
	case unstable.String:
		n.Value = string(v.Data)
	case unstable.Bool:
		n.Value = v.Data[0] == 't'
	default:
		var ok bool
		if n.Value, ok = scalar(v.Kind, v.Data); !ok {
			text := "there is no such date or time"
			if v.Kind == unstable.Integer || v.Kind == unstable.Float {
				text = "the number is too large"
			}
			b.errs.add(Mistake{Line: line, Text: text})
			return nil
		}
	}
	return n
}

// scalar reads a number or a date.
func scalar(kind unstable.Kind, raw []byte) (any, bool) {
	s := string(raw)
	switch kind {
	case unstable.Integer:
		n, err := strconv.ParseInt(s, 0, 64)
		return n, err == nil
	case unstable.Float:
		if strings.HasSuffix(s, "nan") {
			return math.NaN(), true // strconv takes no sign here
		}
		f, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
		return f, err == nil
	}
	s = strings.ToUpper(string(bytes.Replace(raw, []byte(" "), []byte("T"), 1)))
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04",
		time.DateOnly, "15:04:05.999999999", "15:04",
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	return nil, false
}

// setPaths names every node of a complete tree.
func setPaths(n *Node, path string) {
	n.Path = path
	for _, k := range n.Order {
		setPaths(n.Keys[k], join(path, quoteKey(k)))
	}
	elements, _ := n.Value.([]*Node)
	for i, e := range elements {
		p := fmt.Sprintf("%s[%d]", path, i)
		if host, ok := valueOf[string](e.child("host")); ok && path == hostConfigKey {
			p = hostConfigKey + " " + strconv.Quote(host)
		}
		setPaths(e, p)
	}
}

// valueOf returns the value of a node that may not be there.
func valueOf[T any](n *Node) (v T, ok bool) {
	if n != nil {
		v, ok = n.Value.(T)
	}
	return v, ok
}

// quoteKey writes a key as a file would.
func quoteKey(k string) string {
	for _, c := range k {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') {
			return strconv.Quote(k)
		}
	}
	if k == "" {
		return `""`
	}
	return k
}
