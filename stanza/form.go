package stanza

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// NSData is the namespace of data forms (XEP-0004).
const NSData = "jabber:x:data"

// Form is a data form (XEP-0004).
type Form struct {
	Kind         string // form, submit, cancel, result
	Type         string // the value of the hidden FORM_TYPE (XEP-0068), or ""
	Title        string
	Instructions string
	Fields       []FormField
}

// FormField is a field of a form. Type is one of XEP-0004 §3.3; in a submitted form it may be empty.
type FormField struct {
	Var, Type, Label string
	Required         bool
	Values           []string
	Options          []FormOption
}

// FormOption is a choice of a list field.
type FormOption struct{ Label, Value string }

const formTypeVar = "FORM_TYPE"

// The bounds of a form that is read: more than any form of ours has.
const (
	maxFormFields = 128
	maxFormValues = 1024
)

var errForm = errors.New("stanza: not a data form")

// ParseForm reads an <x/> of jabber:x:data. Of what a client submits, fields without a name are passed over.
func ParseForm(e *Element) (*Form, error) {
	if e == nil || e.NS != NSData || e.Name != "x" {
		return nil, errForm
	}
	f := &Form{Kind: e.Attr("type"), Title: e.ChildText("title"), Instructions: e.ChildText("instructions")}
	values := 0
	for _, c := range e.Children {
		if c.NS != NSData || c.Name != "field" || c.Attr("var") == "" {
			continue
		}
		fd := FormField{Var: c.Attr("var"), Type: c.Attr("type"), Label: c.Attr("label"), Required: c.Child("", "required") != nil}
		for _, v := range c.Children {
			switch {
			case v.NS != NSData:
			case v.Name == "value":
				values++
				fd.Values = append(fd.Values, v.Text)
			case v.Name == "option":
				values++
				fd.Options = append(fd.Options, FormOption{v.Attr("label"), v.ChildText("value")})
			}
		}
		if fd.Var == formTypeVar && f.Type == "" && len(fd.Values) > 0 {
			f.Type = fd.Values[0]
			continue
		}
		if f.Fields = append(f.Fields, fd); len(f.Fields) > maxFormFields || values > maxFormValues {
			return nil, fmt.Errorf("stanza: data form is too large")
		}
	}
	return f, nil
}

// Bytes writes the form.
func (f *Form) Bytes() []byte {
	var x XML
	x.Start("x", "xmlns", NSData, "type", f.Kind)
	if f.Title != "" {
		x.Leaf("title", f.Title)
	}
	if f.Instructions != "" {
		x.Leaf("instructions", f.Instructions)
	}
	if f.Type != "" {
		x.Start("field", "type", "hidden", "var", formTypeVar).Leaf("value", f.Type).End()
	}
	for i := range f.Fields {
		fd := &f.Fields[i]
		x.Start("field", "type", fd.Type, "var", fd.Var, "label", fd.Label)
		if fd.Required {
			x.Empty("required")
		}
		for _, v := range fd.Values {
			x.Leaf("value", v)
		}
		for _, o := range fd.Options {
			x.Start("option", "label", o.Label).Leaf("value", o.Value).End()
		}
		x.End()
	}
	return x.Bytes()
}

// Field returns the field of that name, or nil. It may be asked of a nil Form.
func (f *Form) Field(name string) *FormField {
	if f != nil {
		for i := range f.Fields {
			if f.Fields[i].Var == name {
				return &f.Fields[i]
			}
		}
	}
	return nil
}

// Values returns the values of a field; Value the first, or "".
func (f *Form) Values(name string) []string {
	if fd := f.Field(name); fd != nil {
		return fd.Values
	}
	return nil
}

// Value returns the first value of a field, or "".
func (f *Form) Value(name string) string {
	if v := f.Values(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Bool returns the value of a boolean field (XEP-0004 §3.3).
func (f *Form) Bool(name string) bool { v := f.Value(name); return v == "1" || v == "true" }

// Accepts tells whether what was submitted answers the form: what is required is there, and each value is one of its field's
// type (XEP-0004 §3.3). The error is for who filled it in and names the field by its label.
func (f *Form) Accepts(submitted *Form) error {
	for i := range f.Fields {
		fd := &f.Fields[i]
		values := submitted.Values(fd.Var)
		name := fd.Label
		if name == "" {
			name = fd.Var
		}
		if fd.Required && strings.TrimSpace(strings.Join(values, "")) == "" {
			return fmt.Errorf("%s: is needed", name)
		}
		if len(values) > 1 && !strings.HasSuffix(fd.Type, "-multi") {
			return fmt.Errorf("%s: takes one value", name)
		}
		for _, v := range values {
			if err := fd.accepts(v); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

func (fd *FormField) accepts(v string) error {
	switch fd.Type {
	case "boolean":
		if !slices.Contains([]string{"0", "1", "true", "false"}, v) {
			return errors.New("is yes or no")
		}
	case "jid-single", "jid-multi":
		if v == "" {
			return nil // left empty; Required says where it must not be
		}
		if _, err := ParseJID(v); err != nil {
			return errors.New("is an address")
		}
	case "list-single", "list-multi":
		if !slices.ContainsFunc(fd.Options, func(o FormOption) bool { return o.Value == v }) {
			return errors.New("is none of the choices")
		}
	}
	return nil
}
