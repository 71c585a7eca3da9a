package xtest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// A tree is what a parser says of an element, whole and in order: name, sorted attributes, children. Names are "namespace
// local", declarations and prefixes are no part of it. As JSON, so that parsers in other languages can be asked.
type tree struct {
	Name  string
	Attrs [][2]string
	Kids  []any // tree or string; neighbouring strings are one
}

func (t *tree) text(s string) {
	if n := len(t.Kids); n > 0 {
		if was, ok := t.Kids[n-1].(string); ok {
			t.Kids[n-1] = was + s
			return
		}
	}
	if s != "" {
		t.Kids = append(t.Kids, s)
	}
}

// MarshalJSON makes a list of three.
func (t *tree) MarshalJSON() ([]byte, error) { return json.Marshal([]any{t.Name, t.Attrs, t.Kids}) }

// GoTree is the tree of a document by encoding/xml, as JSON.
func GoTree(doc []byte) (string, error) {
	full := func(n xml.Name) string { return strings.TrimPrefix(n.Space+" "+n.Local, " ") }
	top := &tree{}
	open := []*tree{top}
	for d := xml.NewDecoder(bytes.NewReader(doc)); ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		} else if err != nil {
			return "", err
		}
		in := open[len(open)-1]
		switch tok := tok.(type) {
		case xml.StartElement:
			n := &tree{Name: full(tok.Name), Attrs: [][2]string{}, Kids: []any{}}
			for _, a := range tok.Attr {
				if a.Name.Space != "xmlns" && (a.Name.Space != "" || a.Name.Local != "xmlns") {
					n.Attrs = append(n.Attrs, [2]string{full(a.Name), a.Value})
				}
			}
			slices.SortFunc(n.Attrs, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
			in.Kids = append(in.Kids, n)
			open = append(open, n)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			in.text(string(tok))
		}
	}
	return canonical(top.Kids[0])
}

func canonical(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.String(), err
}

// Expat is the parser of most other clients, run by Python.
type Expat struct {
	in  io.WriteCloser
	out *bufio.Scanner
}

const expatProgram = `
import base64, json, sys
from xml.parsers import expat
for line in sys.stdin:
    top = ["", [], []]
    stack = [top]
    def start(name, attrs):
        n = [name, sorted([a[0], a[1]] for a in attrs.items()), []]
        stack[-1][2].append(n)
        stack.append(n)
    def end(name):
        stack.pop()
    def text(data):
        kids = stack[-1][2]
        if kids and isinstance(kids[-1], str):
            kids[-1] += data
        else:
            kids.append(data)
    p = expat.ParserCreate(namespace_separator=' ')
    p.StartElementHandler, p.EndElementHandler, p.CharacterDataHandler = start, end, text
    try:
        p.Parse(base64.b64decode(line), True)
        print(json.dumps(top[2][0]), flush=True)
    except expat.ExpatError as e:
        print(json.dumps({"error": str(e)}), flush=True)
`

// NewExpat starts Python, or skips the test where there is none.
func NewExpat(t testing.TB) *Expat {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is missing: what arrives is not compared by expat")
	}
	cmd := exec.Command(python, "-c", expatProgram)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); cmd.Wait() })
	e := &Expat{in: in, out: bufio.NewScanner(out)}
	e.out.Buffer(nil, 16<<20)
	return e
}

// Tree is the tree of a document by expat, as JSON in the same shape as GoTree's.
func (e *Expat) Tree(doc []byte) (string, error) {
	if _, err := fmt.Fprintln(e.in, base64.StdEncoding.EncodeToString(doc)); err != nil {
		return "", err
	}
	if !e.out.Scan() {
		return "", fmt.Errorf("expat is gone: %v", e.out.Err())
	}
	var v any
	if err := json.Unmarshal(e.out.Bytes(), &v); err != nil {
		return "", err
	}
	if m, ok := v.(map[string]any); ok {
		return "", fmt.Errorf("expat: %v", m["error"])
	}
	return canonical(v)
}
