package archive

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// fields writes a form of pairs; a value of several words is several values.
func fields(pairs ...string) string {
	f := stanza.Form{Kind: "submit", Type: ns}
	for i := 0; i < len(pairs); i += 2 {
		f.Fields = append(f.Fields, stanza.FormField{Var: pairs[i], Values: strings.Split(pairs[i+1], " ")})
	}
	return string(f.Bytes())
}

func rsm(xml string) string { return "<set xmlns='" + nsRSM + "'>" + xml + "</set>" }

func FuzzQuery(f *testing.F) {
	for _, s := range []string{
		"", fields("with", "a@b/c", "start", "2002-09-10T23:08:25Z", "ids", "a b"), rsm("<max>10</max><before/>"),
		rsm("<after>x</after><index>1</index>"), "<flip-page/>", fields("include-groupchat", "1"),
	} {
		f.Add("<query xmlns='" + ns + "' queryid='1'>" + s + "</query>")
	}
	f.Fuzz(func(t *testing.T, xml string) {
		e, err := stanza.ParseElement([]byte(xml))
		if err != nil {
			return
		}
		for _, kind := range []Kind{Accounts, Rooms} {
			q, err := parseQuery(e, kind, 100)
			if err != nil {
				if _, ok := err.(*stanza.Error); !ok {
					t.Fatalf("an error that is no answer: %v", err)
				}
				continue
			}
			if q.max < 0 || q.max > 100 || len(q.ids) > 100 {
				t.Fatalf("%+v", q)
			}
		}
	})
}
