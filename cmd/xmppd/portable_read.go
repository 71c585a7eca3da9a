package main

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The bounds of a file that is imported. Lists may be of any length: they are read in pieces.
const (
	portableElement = 64 << 20 // bytes of one element
	portableDepth   = 100
)

// portableUser is a <user/> of XEP-0227.
type portableUser struct{ host, name, password string }

// A piece of a list: so many entries, and bytes, but for a single larger one.
const (
	pieceCount = 500
	pieceSize  = 1 << 20
)

// lists are the elements whose children are handed over in pieces.
var lists = map[string]bool{
	modules.NSPortable + " offline-messages":   true,
	modules.NSPortable + "#mam archive":        true,
	"http://jabber.org/protocol/pubsub pubsub": true,
}

// readPortable reads a file of XEP-0227, and calls fn for each user, with a nil element, and then for each of its elements.
// What XMPP does not have is refused: document types, processing instructions, entities (XEP-0227 §4, RFC 6120 §11.1).
func readPortable(r io.Reader, fn func(portableUser, *stanza.Stanza) error) error {
	p := newPortableReader(r, portableElement, fn)
	err := p.read()
	if err != nil {
		line, _ := p.d.InputPos()
		return fmt.Errorf("line %d: %w", line, err)
	}
	return nil
}

// capture is a reader byte by byte that remembers what it has read since it was told to.
type capture struct {
	r    *bufio.Reader
	buf  []byte
	base int64 // offset of buf
	max  int
}

var errPortableSize = errors.New("an element is larger than 64 MiB")

// ReadByte implements io.ByteReader: so the decoder reads no further than it must.
func (c *capture) ReadByte() (byte, error) {
	b, err := c.r.ReadByte()
	if err == nil {
		if len(c.buf) >= c.max {
			return 0, errPortableSize
		}
		c.buf = append(c.buf, b)
	}
	return b, err
}

// Read is not used: the decoder takes bytes.
func (c *capture) Read([]byte) (int, error) { return 0, errors.New("read by bytes") }

// from forgets all before an offset.
func (c *capture) from(off int64) {
	n := copy(c.buf, c.buf[off-c.base:])
	c.buf, c.base = c.buf[:n], off
	if n == 0 && cap(c.buf) > 1<<20 {
		c.buf = nil
	}
}

// to returns what was read from the start of the buffer up to an offset.
func (c *capture) to(off int64) []byte { return c.buf[:off-c.base] }

type portableReader struct {
	d    *xml.Decoder
	src  *capture
	fn   func(portableUser, *stanza.Stanza) error
	user portableUser
}

func newPortableReader(r io.Reader, size int, fn func(portableUser, *stanza.Stanza) error) *portableReader {
	p := &portableReader{src: &capture{r: bufio.NewReaderSize(r, 64<<10), max: size}, fn: fn}
	p.d = xml.NewDecoder(p.src)
	return p
}

// token returns the next token that matters; all before it is forgotten.
func (p *portableReader) token() (xml.Token, error) {
	for first := true; ; first = false {
		p.src.from(p.d.InputOffset())
		t, err := p.d.Token()
		if err != nil {
			return nil, err
		}
		switch x := t.(type) {
		case xml.StartElement, xml.EndElement:
			return t, nil
		case xml.CharData, xml.Comment: // between elements; what is in them the scanner reads again
		case xml.Directive:
			return nil, errors.New("a document type is not allowed here")
		case xml.ProcInst:
			if !first || x.Target != "xml" || p.src.base != 0 {
				return nil, errors.New("a processing instruction is not allowed here")
			}
		}
	}
}

// read reads the whole file.
func (p *portableReader) read() error {
	path := []string{}
	for {
		t, err := p.token()
		if err == io.EOF && len(path) == 0 {
			return errors.New("there is no server-data")
		}
		if err != nil {
			return err
		}
		if _, ok := t.(xml.EndElement); ok {
			if path = path[:len(path)-1]; len(path) == 0 {
				return p.rest()
			}
			continue
		}
		start := t.(xml.StartElement)
		levels := [...]string{"server-data", "host", "user"}
		if len(path) < len(levels) {
			if name := levels[len(path)]; start.Name.Space != modules.NSPortable || start.Name.Local != name {
				if len(path) == 0 {
					return fmt.Errorf("this is no file of XEP-0227: it begins with <%s>", cutName(start.Name.Local))
				}
				if err := p.skip(); err != nil { // what hosts have beside users is not for accounts
					return err
				}
				continue
			}
			path = append(path, start.Name.Local)
			switch start.Name.Local {
			case "host":
				p.user = portableUser{host: attrOf(start, "jid")}
			case "user":
				p.user.name, p.user.password = attrOf(start, "name"), attrOf(start, "password")
				if err := p.fn(p.user, nil); err != nil {
					return err
				}
			}
			continue
		}
		if lists[start.Name.Space+" "+start.Name.Local] {
			err = p.list(start.Name)
		} else {
			err = p.element()
		}
		if err != nil {
			return err
		}
	}
}

func cutName(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

func attrOf(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Space == "" && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// rest makes sure that nothing follows.
func (p *portableReader) rest() error {
	if _, err := p.token(); err != io.EOF {
		if err == nil {
			err = errors.New("something follows the end of server-data")
		}
		return err
	}
	return nil
}

// skip reads to the end of the element that has begun.
func (p *portableReader) skip() error {
	for depth := 1; depth > 0; {
		t, err := p.d.Token()
		if err != nil {
			return err
		}
		switch t.(type) {
		case xml.StartElement:
			if depth++; depth > portableDepth {
				return errors.New("elements are too deep within each other")
			}
		case xml.EndElement:
			depth--
		case xml.Directive:
			return errors.New("a document type is not allowed here")
		case xml.ProcInst:
			return errors.New("a processing instruction is not allowed here")
		}
	}
	return nil
}

// element hands over the element that has begun.
func (p *portableReader) element() error {
	raw, err := p.whole()
	if err != nil {
		return err
	}
	return p.hand(raw)
}

// whole returns the bytes of the element that has begun.
func (p *portableReader) whole() ([]byte, error) {
	if err := p.skip(); err != nil {
		return nil, err
	}
	return p.src.to(p.d.InputOffset()), nil
}

// hand reads an element with the scanner that reads all else, and hands it over.
func (p *portableReader) hand(raw []byte) error {
	sc := stanza.Scanner{DefaultNS: modules.NSPortable, Limits: stanza.Limits{Size: portableElement + 1024, Depth: portableDepth + 2}}
	defer sc.Release()
	e := new(stanza.Stanza)
	if _, err := sc.Scan(raw, e); err != nil {
		return err
	}
	return p.fn(p.user, e)
}

// list hands over the children of a list in pieces, each in a list of its own.
func (p *portableReader) list(name xml.Name) error {
	head := fmt.Appendf(nil, "<%s xmlns='%s'>", name.Local, name.Space)
	piece, n := slices.Clone(head), 0
	flush := func() error {
		if n == 0 {
			return nil
		}
		err := p.hand(fmt.Appendf(piece, "</%s>", name.Local))
		piece, n = append(piece[:0], head...), 0
		return err
	}
	for {
		t, err := p.token()
		if err != nil {
			return err
		}
		if _, ok := t.(xml.EndElement); ok {
			return flush()
		}
		raw, err := p.whole()
		if err != nil {
			return err
		}
		if n == pieceCount || n > 0 && len(piece)+len(raw) > pieceSize {
			if err := flush(); err != nil {
				return err
			}
		}
		piece, n = append(piece, raw...), n+1
	}
}
