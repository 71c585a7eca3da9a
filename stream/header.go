package stream

import (
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// ReadHeader waits for the XML declaration and the stream header, which it checks (RFC 6120 §4.7, §4.8, §11.4 to §11.6).
// Errors are *Error to be sent with CloseWith, or an I/O error. h is filled as far as it was read, so that an answer
// can name the host that was asked for.
func (c *Conn) ReadHeader(h *Header) error {
	c.readMu.Lock()
	defer c.readMu.Unlock()
	if c.readErr != nil {
		return c.readErr
	}
	lim := c.lim.Load().scan
	p := headerParser{lim: lim, again: c.again}
	for {
		if rd := c.rd; rd != nil && rd.off < len(rd.b) {
			done, err := p.parse(rd.b[rd.off:])
			if err == nil && lim.Size > 0 && p.pos > lim.Size {
				err = &Error{Condition: "policy-violation", Text: "the stream header is too long"}
			}
			if err != nil {
				c.readErr = err
				return err
			}
			if done {
				err := p.fill(h, rd.b[rd.off:], c.o.Namespace)
				rd.off += p.pos
				c.stanzaBy = 0
				to := h.To
				c.mu.Lock()
				c.asked = &to
				c.mu.Unlock()
				if err != nil {
					c.readErr = err
					return err
				}
				c.prefixes, c.begun = h.Prefixes, true
				rd.forget()
				return nil
			}
			c.begin()
		}
		if err := c.fill(); err != nil {
			return err
		}
	}
}

// fill reads the values of a header that is complete and well-formed, and checks them. What can be read is read even
// where something is wrong.
func (p *headerParser) fill(h *Header, b []byte, ns string) *Error {
	*h = Header{}
	var def, version string
	var versioned bool
	var wrong *Error // the first mistake of a value, less important than those of the namespaces
	uri := map[string]string{"xml": stanza.NSXML}
	values := make([]string, len(p.attrs))
	for i, a := range p.attrs {
		v, err := unescape(b[a.val.a:a.val.b])
		if err != nil {
			return err
		}
		values[i] = v
		prefix, local := a.split(b)
		switch {
		case prefix == "" && local == "xmlns":
			if v == stanza.NSXML || v == nsXMLNS {
				return notWellFormed("reserved namespace")
			}
			def = v
		case prefix == "xmlns":
			// Namespaces in XML 1.0 §3, "Reserved Prefixes" and §5.
			if local == "xmlns" || v == "" || v == nsXMLNS || (local == "xml") != (v == stanza.NSXML) {
				return notWellFormed("bad namespace declaration")
			}
			uri[local] = v
			if local != "xml" && local != "stream" {
				h.Prefixes = append(h.Prefixes, local, v)
			}
		}
	}
	type full struct{ ns, local string }
	seen := make(map[full]bool)
	for i, a := range p.attrs {
		prefix, local := a.split(b)
		space := ""
		switch prefix {
		case "":
		case "xmlns":
			space = nsXMLNS
		default:
			if space = uri[prefix]; space == "" {
				return notWellFormed("undeclared prefix")
			}
		}
		if seen[full{space, local}] {
			return notWellFormed("the same attribute twice")
		}
		seen[full{space, local}] = true
		v := values[i]
		switch {
		case space == stanza.NSXML && local == "lang":
			h.Lang = language(v)
		case space != "":
		case local == "to":
			j, err := stanza.ParseJID(v)
			if err != nil && wrong == nil {
				wrong = &Error{Condition: "improper-addressing", Text: "the 'to' address is not valid"} // RFC 6120 §4.9.3.7
			}
			h.To = j
		case local == "from":
			j, err := stanza.ParseJID(v)
			if err != nil && wrong == nil {
				wrong = &Error{Condition: "invalid-from", Text: "the 'from' address is not valid"} // RFC 6120 §4.9.3.9
			}
			h.From = j
		case local == "id":
			h.ID = v
		case local == "version":
			version, versioned = v, true
			h.Version = v
		}
	}
	prefix, local := p.root.split(b)
	space := def
	if prefix != "" {
		if space = uri[prefix]; space == "" {
			return notWellFormed("undeclared prefix")
		}
	}
	switch {
	case local != "stream":
		return &Error{Condition: "bad-format", Text: "not a stream header"} // RFC 6120 §4.9.3.1
	case space != stanza.NSStream:
		return &Error{Condition: "invalid-namespace", Text: "not the namespace of streams"} // RFC 6120 §4.8.1
	case prefix != "stream":
		return &Error{Condition: "bad-namespace-prefix", Text: "use the prefix 'stream'"} // RFC 6120 §4.8.5
	case def != ns:
		return &Error{Condition: "invalid-namespace", Text: "the default namespace must be " + ns} // RFC 6120 §4.8.2
	case !versioned || !atLeastOne(version):
		return &Error{Condition: "unsupported-version", Text: "version 1.0 is needed"} // RFC 6120 §4.7.5
	case wrong != nil:
		return wrong
	case p.empty:
		return &Error{Condition: "bad-format", Text: "the stream ends where it begins"}
	}
	return nil
}

// atLeastOne tells whether a version is 1.0 or higher: two numbers, compared as numbers (RFC 6120 §4.7.5).
func atLeastOne(v string) bool {
	major, minor, ok := strings.Cut(v, ".")
	if !ok || len(v) > 16 {
		return false
	}
	n, err := strconv.ParseUint(major, 10, 32)
	_, err2 := strconv.ParseUint(minor, 10, 32)
	return err == nil && err2 == nil && n >= 1
}

// language returns a language tag in the shape of RFC 5646, or nothing: what follows no rule is no language.
func language(v string) string {
	if len(v) > 35 { // RFC 5646 §4.4.1
		return ""
	}
	for _, part := range strings.Split(v, "-") {
		if part == "" || len(part) > 8 || strings.ContainsFunc(part, func(r rune) bool {
			return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9')
		}) {
			return ""
		}
	}
	return v
}

// WriteHeader queues <?xml version='1.0'?> and our stream header (RFC 6120 §4.7). Nothing of the header is invented: the
// caller gives id, from, to and lang. An empty Version is 1.0. The header leaves with what is queued after it, or by Flush.
func (c *Conn) WriteHeader(h Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.closing.Load() {
		return
	}
	c.greeted, c.asked = true, nil
	ch := c.out.room()
	was := len(ch.b)
	ch.b = appendHeader(ch.b, c.o.Namespace, h)
	c.out.size += len(ch.b) - was
}

// appendHeader appends a stream header with its XML declaration.
func appendHeader(dst []byte, ns string, h Header) []byte {
	attr := func(name, value string) {
		if value != "" {
			dst = append(append(append(dst, ' '), name...), "='"...)
			dst = append(stanza.AppendEscaped(dst, value), '\'')
		}
	}
	dst = append(dst, "<?xml version='1.0'?><stream:stream"...) // RFC 6120 §11.5
	attr("xmlns", ns)
	attr("xmlns:stream", stanza.NSStream)
	for p := range slices.Chunk(h.Prefixes, 2) {
		attr("xmlns:"+p[0], p[1])
	}
	attr("id", h.ID)
	attr("from", h.From.String())
	attr("to", h.To.String())
	if h.Version == "" {
		h.Version = "1.0"
	}
	attr("version", h.Version)
	attr("xml:lang", h.Lang)
	return append(dst, '>')
}
