package stanza

import (
	"reflect"
	"strings"
	"testing"
)

func TestForm(t *testing.T) {
	f := &Form{Kind: "form", Type: "urn:example", Title: "T", Instructions: "I <&", Fields: []FormField{
		{Var: "a", Type: "text-single", Label: "An A", Required: true},
		{Var: "b", Type: "list-single", Values: []string{"2"}, Options: []FormOption{{"one", "1"}, {"two", "2"}}},
	}}
	e, err := ParseElement(f.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseForm(e)
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Value("b") != "2" || got.Value("x") != "" || (*Form)(nil).Value("x") != "" || got.Field("a").Label != "An A" {
		t.Error("values")
	}
}

func TestFormBounds(t *testing.T) {
	for _, xml := range []string{
		"<x xmlns='urn:other'/>",
		"<y xmlns='jabber:x:data'/>",
		"<x xmlns='jabber:x:data'>" + strings.Repeat("<field var='a'/>", maxFormFields+1) + "</x>",
		"<x xmlns='jabber:x:data'><field var='a'>" + strings.Repeat("<value/>", maxFormValues+1) + "</field></x>",
	} {
		e, err := ParseElement([]byte(xml))
		if err != nil {
			t.Fatal(err)
		}
		if f, err := ParseForm(e); err == nil {
			t.Errorf("%.60s is read as %+v", xml, f)
		}
	}
	if _, err := ParseForm(nil); err == nil {
		t.Error("nothing is a form")
	}
}

func TestFormAccepts(t *testing.T) {
	f := &Form{Fields: []FormField{
		{Var: "t", Type: "text-single", Label: "Text", Required: true},
		{Var: "j", Type: "jid-multi"},
		{Var: "b", Type: "boolean"},
		{Var: "l", Type: "list-single", Options: []FormOption{{Value: "1"}}},
	}}
	for _, tt := range []struct{ fields, want string }{
		{"<field var='t'><value>x</value></field>", ""},
		{"", "Text: is needed"},
		{"<field var='t'><value> </value></field>", "Text: is needed"},
		{"<field var='t'><value>x</value><value>y</value></field>", "Text: takes one value"},
		{"<field var='t'><value>x</value></field><field var='j'><value>a@b.test</value><value/></field>", ""},
		{"<field var='t'><value>x</value></field><field var='j'><value>@</value></field>", "j: is an address"},
		{"<field var='t'><value>x</value></field><field var='b'><value>maybe</value></field>", "b: is yes or no"},
		{"<field var='t'><value>x</value></field><field var='l'><value>2</value></field>", "l: is none of the choices"},
		{"<field var='t'><value>x</value></field><field var='l'><value>1</value></field><field var='b'><value>true</value></field>", ""},
	} {
		e, err := ParseElement([]byte("<x xmlns='jabber:x:data' type='submit'>" + tt.fields + "</x>"))
		if err != nil {
			t.Fatal(err)
		}
		in, err := ParseForm(e)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := f.Accepts(in); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.fields, got, tt.want)
		}
	}
}

func FuzzForm(f *testing.F) {
	f.Add("<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:x</value></field><field var='a' type='boolean'><required/><value>1</value><option label='l'><value>v</value></option></field></x>")
	f.Fuzz(func(t *testing.T, xml string) {
		e, err := ParseElement([]byte(xml))
		if err != nil {
			return
		}
		form, err := ParseForm(e)
		if err != nil {
			return
		}
		e, err = ParseElement(form.Bytes())
		if err != nil {
			t.Fatalf("%q: %v", form.Bytes(), err)
		}
		again, err := ParseForm(e)
		if err != nil || len(again.Fields) != len(form.Fields) || again.Type != form.Type {
			t.Errorf("%+v became %+v, %v", form, again, err)
		}
		form.Accepts(again)
	})
}
