package archive

import (
	"strconv"
	"strings"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

const nsRSM = "http://jabber.org/protocol/rsm" // XEP-0059

// query is what a client asks of an archive, IDs as the client has them.
type query struct {
	id    string // queryid
	hasID bool
	kind  Kind

	// The form (XEP-0313 §4.1).
	with              stanza.JID
	start, end        time.Time
	afterID, beforeID string
	ids               []string

	// The page (XEP-0059 §2).
	max           int
	after, before string
	last          bool // <before/>, empty or not: from the end

	flip bool // XEP-0313 §4.3.4
}

// defaultPage is how many messages a page has for who does not say.
const defaultPage = 50

// errNode is what there is to say of nodes (XEP-0313 §6.1.3).
var errNode = [...]*stanza.Error{
	Accounts: stanza.Err(stanza.ItemNotFound, "an account's archive has no nodes"),
	Rooms:    stanza.Err(stanza.ItemNotFound, "a room's archive has no nodes"),
}

// parseQuery reads a <query/>; no page has more than limit messages, and no more IDs than that are asked for at once.
func parseQuery(e *stanza.Element, kind Kind, limit int) (*query, error) {
	q := &query{kind: kind, max: min(defaultPage, limit)}
	for _, a := range e.Attrs {
		switch {
		case a.NS != "":
		case a.Name == "queryid":
			q.id, q.hasID = a.Value, true
		case a.Name == "node": // of archives of publish-subscribe (XEP-0313 §6.1.3)
			return nil, errNode[kind]
		}
	}
	var form, set bool
	for _, c := range e.Children {
		var err error
		switch {
		case c.NS == stanza.NSData && c.Name == "x":
			if form {
				return nil, stanza.Err(stanza.BadRequest, "more than one form")
			}
			form = true
			err = q.parseForm(c, limit)
		case c.NS == nsRSM && c.Name == "set":
			if set {
				return nil, stanza.Err(stanza.BadRequest, "more than one set")
			}
			set = true
			err = q.parseSet(c, limit)
		case c.NS == ns && c.Name == "flip-page":
			q.flip = true
		}
		if err != nil {
			return nil, err
		}
	}
	return q, nil
}

// parseForm reads what selects messages. A field without a value, as a client sends that fills in a form, selects nothing.
func (q *query) parseForm(x *stanza.Element, limit int) error {
	if t := x.Attr("type"); t != "submit" {
		return stanza.Err(stanza.BadRequest, "the form is to be submitted")
	}
	seen := map[string]bool{}
	for _, f := range x.Children {
		if f.NS != stanza.NSData || f.Name != "field" {
			continue
		}
		name := f.Attr("var")
		if seen[name] {
			return stanza.Err(stanza.BadRequest, "a field is there twice")
		}
		seen[name] = true
		var values []string
		for _, v := range f.Children {
			if v.NS == stanza.NSData && v.Name == "value" {
				values = append(values, v.Text)
			}
		}
		if name == "ids" {
			if len(values) > limit {
				return stanza.Err(stanza.PolicyViolation, "at most "+strconv.Itoa(limit)+" ids at once")
			}
			q.ids = values
			continue
		}
		if len(values) > 1 {
			return stanza.Err(stanza.BadRequest, "more than one value")
		}
		value := ""
		if len(values) == 1 {
			value = values[0]
		}
		if err := q.field(name, value); err != nil {
			return err
		}
	}
	if !seen["FORM_TYPE"] {
		return stanza.Err(stanza.BadRequest, "the form has no FORM_TYPE")
	}
	return nil
}

var errField = stanza.Err(stanza.FeatureNotImplemented, "unknown field")

// field reads a field of one value.
func (q *query) field(name, value string) (err error) {
	switch name {
	case "FORM_TYPE": // XEP-0313 §4.1
		if value != ns {
			return stanza.Err(stanza.BadRequest, "the form is of another type")
		}
		return nil
	case "include-groupchat": // there are none: XEP-0313 §4.1.4
		if q.kind != Accounts { // whose field it is
			return errField
		}
		switch value {
		case "", "true", "false", "1", "0":
			return nil
		}
		return stanza.Err(stanza.BadRequest, "include-groupchat is true or false")
	case "with", "start", "end", "after-id", "before-id":
	default: // XEP-0313 §4.1.5
		return errField
	}
	if value == "" {
		return nil
	}
	switch name {
	case "with":
		if q.with, err = stanza.ParseJID(value); err != nil {
			return stanza.Err(stanza.JIDMalformed, "")
		}
	case "start":
		q.start, err = moment(value)
	case "end":
		q.end, err = moment(value)
	case "after-id":
		q.afterID = value
	case "before-id":
		q.beforeID = value
	}
	return err
}

// moment reads a date and time (XEP-0082 §3.2).
func moment(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, stanza.Err(stanza.BadRequest, "a time is written as 2006-01-02T15:04:05Z")
	}
	return t.UTC(), nil
}

// parseSet reads which page is wanted.
func (q *query) parseSet(set *stanza.Element, limit int) error {
	for _, c := range set.Children {
		if c.NS != nsRSM {
			continue
		}
		switch c.Name {
		case "max":
			n, err := ParseMax(c.Text, limit)
			if err != nil {
				return err
			}
			q.max = n
		case "after":
			q.after = c.Text
		case "before":
			q.before, q.last = c.Text, true // XEP-0059 §2.5
		case "index":
			return stanza.Err(stanza.FeatureNotImplemented, "pages are not found by index") // XEP-0059 §2.4
		}
	}
	return nil
}

// ParseMax reads how many entries of a page are wanted (XEP-0059 §2.1): digits, however many; at most limit.
func ParseMax(s string, limit int) (int, error) {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, stanza.Err(stanza.BadRequest, "max is a number")
	}
	if s = strings.TrimLeft(s, "0"); len(s) > 6 {
		return limit, nil
	}
	n, _ := strconv.Atoi("0" + s)
	return min(n, limit), nil
}

// form is the form of all fields that a query can have (XEP-0313 §4.1.5).
func form(kind Kind) []byte {
	var x stanza.XML
	x.Start("query", "xmlns", ns).Start("x", "xmlns", stanza.NSData, "type", "form")
	x.Start("field", "type", "hidden", "var", "FORM_TYPE").Leaf("value", ns).End()
	for _, f := range [][2]string{
		{"with", "jid-single"}, {"start", "text-single"}, {"end", "text-single"},
		{"before-id", "text-single"}, {"after-id", "text-single"},
	} {
		x.Empty("field", "type", f[1], "var", f[0])
	}
	if kind == Accounts { // XEP-0313 §4.1.4
		x.Empty("field", "type", "boolean", "var", "include-groupchat")
	}
	x.Start("field", "type", "list-multi", "var", "ids")
	x.Start("validate", "xmlns", "http://jabber.org/protocol/xdata-validate", "datatype", "xs:string").Empty("open") // XEP-0122 §4.2
	return x.Bytes()
}
