package disco

import (
	"crypto/sha1"
	"encoding/base64"
	"hash"
	"io"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Node identifies this software in XEP-0115 (§4: a URL where one can read about it).
const Node = "https://github.com/xmppd/xmppd"

const nsForm = "jabber:x:data"

// Ver computes the verification string of a disco#info query with SHA-1 (XEP-0115 §5.1).
func Ver(query *stanza.Element) string { return VerWith(sha1.New(), query) }

// VerWith is Ver with another hash function. All sorting is by bytes, of the values without the < that follows each.
func VerWith(h hash.Hash, query *stanza.Element) string {
	var ids, features []string
	var forms []verForm
	for _, e := range query.Children {
		switch {
		case e.NS == stanza.NSDiscoInf && e.Name == "identity":
			lang := ""
			for _, a := range e.Attrs {
				if a.NS == stanza.NSXML && a.Name == "lang" {
					lang = a.Value
				}
			}
			ids = append(ids, e.Attr("category")+"/"+e.Attr("type")+"/"+lang+"/"+e.Attr("name"))
		case e.NS == stanza.NSDiscoInf && e.Name == "feature":
			features = append(features, e.Attr("var"))
		case e.NS == nsForm && e.Name == "x":
			if f, ok := readForm(e); ok {
				forms = append(forms, f)
			}
		}
	}
	writeSorted(h, ids)
	writeSorted(h, features)
	slices.SortFunc(forms, func(a, b verForm) int { return strings.Compare(a.formType, b.formType) })
	for _, f := range forms {
		io.WriteString(h, f.formType+"<")
		slices.SortFunc(f.fields, func(a, b verField) int { return strings.Compare(a.name, b.name) })
		for _, v := range f.fields {
			io.WriteString(h, v.name+"<")
			writeSorted(h, v.values)
		}
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func writeSorted(w io.Writer, list []string) {
	slices.Sort(list)
	for _, s := range list {
		io.WriteString(w, s+"<")
	}
}

// verForm is what of a form goes into the hash.
type verForm struct {
	formType string
	fields   []verField
}

type verField struct {
	name   string
	values []string
}

// readForm reads a form for the hash. One without a hidden FORM_TYPE does not count (XEP-0115 §5.4 item 3.6).
func readForm(form *stanza.Element) (out verForm, ok bool) {
	for _, f := range form.Children {
		if f.NS != nsForm || f.Name != "field" {
			continue
		}
		var values []string
		for _, v := range f.Children {
			if v.NS == nsForm && v.Name == "value" {
				values = append(values, v.Text)
			}
		}
		if f.Attr("var") == "FORM_TYPE" {
			if f.Attr("type") != "hidden" || len(values) == 0 {
				return out, false
			}
			out.formType = values[0]
			continue
		}
		out.fields = append(out.fields, verField{f.Attr("var"), values})
	}
	return out, out.formType != ""
}

// version is the verification string of a table.
type version struct {
	t   *modules.Table
	ver string
}

// Caps returns a function that computes the verification string of a host's server, once for each table.
func Caps(h *modules.Host) func() string {
	var p atomic.Pointer[version]
	return func() string { return cached(&p, h.Table()) }
}

func cached(p *atomic.Pointer[version], t *modules.Table) string {
	if t == nil {
		return ""
	}
	if v := p.Load(); v != nil && v.t == t {
		return v.ver
	}
	e, err := stanza.ParseElement(Query(t, modules.Server, ""))
	if err != nil { // a module's form is not well-formed: no capabilities rather than wrong ones
		p.Store(&version{t, ""})
		return ""
	}
	v := &version{t, Ver(e)}
	p.Store(v)
	return v.ver
}
