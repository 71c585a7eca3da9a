package stanza

import "testing"

func TestCheck(t *testing.T) {
	for raw, good := range map[string]bool{
		"<iq type='get' id='1'><x xmlns='y'/></iq>":                       true,
		"<iq type='get' id='1'/>":                                         false,
		"<iq type='set' id='1'><x xmlns='y'/><x xmlns='y'/></iq>":         false,
		"<iq type='set'><x xmlns='y'/></iq>":                              false,
		"<iq id='1'><x xmlns='y'/></iq>":                                  false,
		"<iq type='foo' id='1'><x xmlns='y'/></iq>":                       false,
		"<iq type='result' id='1'/>":                                      true,
		"<iq type='error' id='1'><error type='cancel'/></iq>":             true,
		"<message type='foo'/>":                                           true, // RFC 6121 §5.2.2: as normal
		"<presence/>":                                                     true,
		"<presence type='foo'/>":                                          false,
		"<presence><priority> -128 </priority></presence>":                true,
		"<presence><priority>128</priority></presence>":                   false,
		"<presence type='subscribe'><priority>many</priority></presence>": true, // nobody looks
	} {
		st, err := Parse([]byte(raw))
		if err != nil {
			t.Fatal(raw, err)
		}
		if e := st.Check(); (e == nil) != good {
			t.Errorf("%s: %v", raw, e)
		} else if e != nil && e.Condition != BadRequest {
			t.Errorf("%s: %s", raw, e.Condition)
		}
	}
}
