package xtest

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// Node is an element as encoding/xml reads it, namespaces resolved.
type Node struct {
	Name     xml.Name
	Attrs    []xml.Attr
	Children []*Node
	Text     string
}

// Attr returns an attribute without namespace, or "".
func (n *Node) Attr(name string) string {
	for _, a := range n.Attrs {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Child returns the first child of that local name anywhere on the first level, or nil.
func (n *Node) Child(name string) *Node {
	for _, c := range n.Children {
		if c.Name.Local == name {
			return c
		}
	}
	return nil
}

// Find returns the first element of that local name at any depth, n included.
func (n *Node) Find(name string) *Node {
	if n == nil || n.Name.Local == name {
		return n
	}
	for _, c := range n.Children {
		if f := c.Find(name); f != nil {
			return f
		}
	}
	return nil
}

// String writes the element for messages of failed tests.
func (n *Node) String() string {
	if n == nil {
		return "(nothing)"
	}
	var b strings.Builder
	n.write(&b, "")
	return b.String()
}

func (n *Node) write(b *strings.Builder, outer string) {
	fmt.Fprintf(b, "<%s", n.Name.Local)
	if n.Name.Space != outer {
		fmt.Fprintf(b, " xmlns=%q", n.Name.Space)
	}
	for _, a := range n.Attrs {
		if a.Name.Local != "xmlns" && a.Name.Space != "xmlns" {
			fmt.Fprintf(b, " %s=%q", a.Name.Local, a.Value)
		}
	}
	b.WriteByte('>')
	b.WriteString(n.Text)
	for _, c := range n.Children {
		c.write(b, n.Name.Space)
	}
	fmt.Fprintf(b, "</%s>", n.Name.Local)
}

// readNode reads the rest of an element whose start tag has been read.
func readNode(d *xml.Decoder, start xml.StartElement) (*Node, error) {
	n := &Node{Name: start.Name, Attrs: append([]xml.Attr(nil), start.Attr...)}
	for {
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		switch t := tok.(type) {
		case xml.StartElement:
			c, err := readNode(d, t)
			if err != nil {
				return nil, err
			}
			n.Children = append(n.Children, c)
		case xml.EndElement:
			return n, nil
		case xml.CharData:
			n.Text += string(t)
		}
	}
}

// Parse reads one element; names without a namespace are in jabber:client.
func Parse(text string) (*Node, error) { return ParseIn("jabber:client", "", text) }

// ParseIn reads one element as it stands in a stream: ns is its default namespace, and attrs are further declarations of its
// header, each after a space.
func ParseIn(ns, attrs, text string) (*Node, error) {
	d := xml.NewDecoder(strings.NewReader("<w xmlns='" + ns + "' xmlns:stream='http://etherx.jabber.org/streams'" + attrs + ">" + text + "</w>"))
	var found *Node
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if st, ok := tok.(xml.StartElement); ok && st.Name.Local != "w" {
			if found, err = readNode(d, st); err != nil {
				return nil, err
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("no element in %q", text)
	}
	return found, nil
}

// Match says how got differs from what a test wants, or "". The pattern wants its name, its attributes ("*" for any value,
// "-" for absent), its children in any order among others, and its text ("*" for any, "-" for none). An element of the pattern named
// "none" with an attribute name="x" wants no child x.
func Match(want, got *Node) string {
	if got == nil {
		return fmt.Sprintf("wants %s, got nothing", want)
	}
	if want.Name != got.Name {
		return fmt.Sprintf("wants <%s xmlns=%q>, got <%s xmlns=%q>", want.Name.Local, want.Name.Space, got.Name.Local, got.Name.Space)
	}
	for _, a := range want.Attrs {
		if a.Name.Local == "xmlns" || a.Name.Space == "xmlns" {
			continue
		}
		has, v := false, ""
		for _, g := range got.Attrs {
			if g.Name == a.Name {
				has, v = true, g.Value
			}
		}
		switch {
		case a.Value == "-" && has:
			return fmt.Sprintf("<%s> has %s=%q, wants none", got.Name.Local, a.Name.Local, v)
		case a.Value == "-":
		case !has:
			return fmt.Sprintf("<%s> has no %s, wants %q", got.Name.Local, a.Name.Local, a.Value)
		case a.Value != "*" && a.Value != v:
			return fmt.Sprintf("<%s> has %s=%q, wants %q", got.Name.Local, a.Name.Local, v, a.Value)
		}
	}
	if wt := strings.TrimSpace(want.Text); wt == "-" && got.Text != "" {
		return fmt.Sprintf("<%s> says %q, wants nothing", got.Name.Local, got.Text)
	} else if wt != "" && wt != "*" && wt != "-" && wt != strings.TrimSpace(got.Text) {
		return fmt.Sprintf("<%s> says %q, wants %q", got.Name.Local, got.Text, wt)
	}
	used := map[*Node]bool{}
	for _, wc := range want.Children {
		if wc.Name.Local == "none" {
			if c := got.Child(wc.Attr("name")); c != nil {
				return fmt.Sprintf("<%s> has %s, wants no <%s>", got.Name.Local, c, wc.Attr("name"))
			}
			continue
		}
		why := fmt.Sprintf("<%s> has no <%s>", got.Name.Local, wc.Name.Local)
		ok := false
		for _, gc := range got.Children {
			if used[gc] {
				continue
			}
			m := Match(wc, gc)
			if m == "" {
				used[gc], ok = true, true
				break
			}
			if gc.Name == wc.Name {
				why = m
			}
		}
		if !ok {
			return why
		}
	}
	return ""
}
