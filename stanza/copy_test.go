package stanza

import (
	"reflect"
	"testing"
)

func TestCopy(t *testing.T) {
	const in = `<iq type='set' id='1' xmlns:o='urn:o'><a xmlns='urn:a' xmlns:p='urn:p'>text<b/><c xmlns='urn:c'><d p:x='1'>m<e/>n</d><p:f/><g xmlns='' xmlns:p='urn:q'><p:h/></g></c><![CDATA[<b/>]]><o:i/></a></iq>`
	st, err := Parse([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	tree := st.Element(0)
	for _, tt := range []struct {
		path []int
		want string
	}{
		{nil, `<a xmlns:o='urn:o' xmlns='urn:a'`},
		{[]int{0}, `<b xmlns='urn:a'/>`},
		{[]int{1, 0}, `<d xmlns='urn:c' xmlns:p='urn:p' p:x='1'>m<e/>n</d>`},
		{[]int{1, 1}, `<p:f xmlns='urn:c' xmlns:p='urn:p'/>`},
		{[]int{1, 2}, `<g xmlns='' xmlns:p='urn:q'><p:h/></g>`},
		{[]int{1, 2, 0}, `<p:h xmlns='' xmlns:p='urn:q'/>`},
		{[]int{2}, `<o:i xmlns='urn:a' xmlns:o='urn:o'/>`},
		{[]int{3}, ``}, {[]int{0, 0}, ``}, {[]int{1, 3}, ``}, {[]int{1, 0, 1}, ``},
	} {
		got := st.Copy(0, tt.path...)
		if tt.path != nil && string(got) != tt.want {
			t.Errorf("%v: %s, want %s", tt.path, got, tt.want)
		}
		if tt.want == "" {
			continue
		}
		want := tree
		for _, k := range tt.path {
			want = want.Children[k]
		}
		alone, err := ParseElement(got)
		if err != nil || !reflect.DeepEqual(alone, want) {
			t.Errorf("%v: %s reads as %+v, want %+v (%v)", tt.path, got, alone, want, err)
		}
	}
}

// Whatever is copied reads the same alone as where it stood.
func FuzzCopy(f *testing.F) {
	f.Add(`<a xmlns='urn:a' xmlns:p='urn:p'><p:b p:c='p:'><d/></p:b></a>`, 0, 0)
	f.Add(`<a><b xmlns=''><c/></b>x<![CDATA[<]]></a>`, 0, 0)
	f.Add(`<p:a xmlns:p='urn:&lt;&#39;'><b xmlns:q='urn:q'/><q xmlns:q='u'><q:p/></q></p:a>`, 1, 0)
	f.Fuzz(func(t *testing.T, xml string, i, k int) {
		st, err := Parse([]byte("<iq type='set' id='1'>" + xml + "</iq>"))
		if err != nil || len(st.Children) != 1 {
			return
		}
		for _, path := range [][]int{nil, {i}, {i, k}} {
			want := st.Element(0)
			for _, p := range path {
				if want != nil && p >= 0 && p < len(want.Children) {
					want = want.Children[p]
				} else {
					want = nil
				}
			}
			got := st.Copy(0, path...)
			if want == nil {
				if got != nil {
					t.Errorf("%v of %s: %s", path, xml, got)
				}
				continue
			}
			if alone, err := ParseElement(got); err != nil || !reflect.DeepEqual(alone, want) {
				t.Errorf("%v of %s: %s reads as %+v, want %+v (%v)", path, xml, got, alone, want, err)
			}
		}
	})
}
