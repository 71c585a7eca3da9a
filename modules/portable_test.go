package modules

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func TestAlone(t *testing.T) {
	for _, raw := range []string{
		"<message to='a@b.test'><body>x</body></message>",
		"<message xmlns='jabber:client' to='a@b.test'><body>x</body></message>",
		"<presence/>",
		"<message\n\tid='1'><p:x xmlns:p='urn:x'/></message>",
		"<iq xmlns=\"jabber:server\" id='1'/>",
	} {
		st, err := stanza.Parse([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		e, err := stanza.ParseElement(Alone(st)) // in no namespace, unless it says so
		if err != nil {
			t.Errorf("%s became %s: %v", raw, Alone(st), err)
		} else if e.NS != st.NS || e.Attr("id") != st.ID() {
			t.Errorf("%s became %s", raw, Alone(st))
		}
	}
}
