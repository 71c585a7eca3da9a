package pep

import (
	"slices"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// The FORM_TYPEs of XEP-0060 §16.4.
const (
	formConfig  = ns + "#node_config"
	formOptions = ns + "#publish-options"
	formMeta    = ns + "#meta-data"
)

const prefix = "pubsub#"

// change is an option with the values that a form gives it.
type change struct {
	f      *field
	values []string
}

// readForm reads a submitted form (XEP-0004 §3). An option that there is not, or a value that it has not, is an error: what
// we do not honour we do not accept. cancel says that the form was given up.
func readForm(x *stanza.Element, formType string, limit int) (list []change, cancel bool, err error) {
	if x == nil {
		return nil, false, nil
	}
	switch x.Attr("type") {
	case "submit":
	case "cancel":
		return nil, true, nil
	default:
		return nil, false, stanza.Err(stanza.BadRequest, "the form is not submitted")
	}
	for _, f := range x.Children {
		if f.NS != nsForm || f.Name != "field" {
			continue
		}
		var values []string
		for _, v := range f.Children {
			if v.NS == nsForm && v.Name == "value" {
				values = append(values, v.Text)
			}
		}
		name := f.Attr("var")
		if name == "FORM_TYPE" {
			if len(values) != 1 || values[0] != formType {
				return nil, false, stanza.Err(stanza.BadRequest, "the form is of another type")
			}
			continue
		}
		short, ok := strings.CutPrefix(name, prefix)
		opt := fieldOf(short)
		if !ok || opt == nil {
			return nil, false, stanza.Err(stanza.NotAcceptable, "there is no option "+cut(name))
		}
		var s Settings
		if !opt.set(&s, values, limit) {
			return nil, false, stanza.Err(stanza.NotAcceptable, "not a value of "+name)
		}
		list = append(list, change{opt, values})
	}
	return list, false, nil
}

// apply sets the options of a form.
func (s Settings) apply(list []change, limit int) Settings {
	for _, c := range list {
		c.f.set(&s, c.values, limit)
	}
	return s
}

// meets tells whether the options of a form are as the node has them (XEP-0060 §7.1.5).
func (s Settings) meets(list []change, limit int) bool {
	for _, c := range list {
		want := s.apply([]change{c}, limit)
		if c.f.name == "max_items" {
			if want.max(limit) != s.max(limit) {
				return false
			}
			continue
		}
		have, wish := c.f.get(&s), c.f.get(&want)
		if c.f.kind == "list-multi" {
			have, wish = slices.Sorted(slices.Values(have)), slices.Sorted(slices.Values(wish))
		}
		if !slices.Equal(have, wish) {
			return false
		}
	}
	return true
}

// max returns how many items the node keeps.
func (s *Settings) max(limit int) int {
	if s.Max == 0 {
		return limit
	}
	return min(s.Max, limit)
}

// appendForm writes the configuration as a form; groups are what pubsub#roster_groups_allowed can be.
func appendForm(x *stanza.XML, typ string, s *Settings, groups []string) {
	x.Start("x", "xmlns", nsForm, "type", typ)
	x.Start("field", "var", "FORM_TYPE", "type", "hidden").Leaf("value", formConfig).End()
	for _, f := range fields {
		if typ == "form" {
			x.Start("field", "var", prefix+f.name, "type", f.kind, "label", f.label)
		} else {
			x.Start("field", "var", prefix+f.name)
		}
		options := f.options
		if f.kind == "list-multi" {
			options = groups
		}
		if typ == "form" {
			for _, o := range options {
				x.Start("option", "label", o).Leaf("value", o).End()
			}
		}
		for _, v := range f.get(s) {
			x.Leaf("value", v)
		}
		x.End()
	}
	x.End()
}

// cut keeps texts for people short, whatever a stranger sends.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}
