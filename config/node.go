package config

import (
	"fmt"
	"log/slog"
)

// Node is a value of the file with its place.
type Node struct {
	Value any              // string, int64, float64, bool, time.Time, []*Node or nil for a table
	Keys  map[string]*Node // of a table
	Order []string         // its keys as they stand in the file
	Path  string           // modules.mod_x.keys, or host_config "b.example" modules.mod_x.keys
	Line  int
}

// Format implements fmt.Formatter: where a node is and of what kind. A value may be a secret, and no verb prints it. The
// receiver is no pointer, so that a copy tells no more.
func (n Node) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "line %d: %s (%s)", n.Line, n.Path, n.kind())
}

// MarshalText implements encoding.TextMarshaler, and so do encoders of JSON.
func (n Node) MarshalText() ([]byte, error) { return fmt.Append(nil, n), nil }

// LogValue implements slog.LogValuer.
func (n Node) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(n)) }

// Table tells whether n is a table.
func (n *Node) Table() bool { return n.Keys != nil }

// child returns the value of a key of a table, or nil.
func (n *Node) child(key string) *Node {
	if n == nil {
		return nil
	}
	return n.Keys[key]
}

// put adds a key to a table.
func (n *Node) put(key string, v *Node) {
	if _, there := n.Keys[key]; !there {
		n.Order = append(n.Order, key)
	}
	n.Keys[key] = v
}

func newTable(line int) *Node { return &Node{Keys: map[string]*Node{}, Line: line} }

// kind says what a value of the file is, for a message. It never says the value itself, which may be a secret.
func (n *Node) kind() string {
	if n.Table() {
		return "a table"
	}
	switch n.Value.(type) {
	case string:
		return "a string"
	case int64:
		return "a whole number"
	case float64:
		return "a number with a fraction"
	case bool:
		return "true or false"
	case []*Node:
		return "a list"
	}
	return "a date or time"
}

// overlay lays one table over another, key by key: tables under it are merged, everything else is replaced. Nodes keep
// their places, so that a mistake is told where it was written.
func overlay(over, under *Node) *Node {
	switch {
	case under == nil || over != nil && !(over.Table() && under.Table()):
		return over
	case over == nil:
		return under
	}
	merged := &Node{Keys: make(map[string]*Node, len(over.Keys)+len(under.Keys)), Path: over.Path, Line: over.Line}
	for _, k := range under.Order {
		merged.put(k, under.Keys[k])
	}
	for _, k := range over.Order {
		merged.put(k, overlay(over.Keys[k], under.Keys[k]))
	}
	return merged
}
