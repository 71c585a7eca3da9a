package fate

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

func TestOffline(t *testing.T) {
	const chatstate = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
	const hint = " xmlns='urn:xmpp:hints'/>"
	for _, tt := range []struct {
		xml  string
		want Absent
	}{
		{"<message><body>x</body></message>", Store},
		{"<message type='normal'><body>x</body></message>", Store},
		{"<message type='chat'><body>x</body></message>", Store},
		{"<message type='strange'><body>x</body></message>", Store},
		{"<message type='groupchat'><body>x</body></message>", Refuse},
		{"<message type='headline'><body>x</body></message>", Refuse},
		{"<message type='error'><body>x</body></message>", Refuse},
		{"<message type='chat'><body>x</body>" + chatstate + "</message>", Store},
		{"<message type='chat'>" + chatstate + "</message>", Forget},
		{"<message type='chat'>" + chatstate + "<thread>t</thread><origin-id xmlns='urn:xmpp:sid:0' id='1'/><no-copy" + hint + "</message>", Forget},
		{"<message/>", Forget},
		{"<message type='chat'><received xmlns='urn:xmpp:receipts' id='1'/></message>", Store},
		{"<message><subject>x</subject></message>", Store},
		{"<message><x xmlns='jabber:x:conference' jid='r@muc.a.test'/></message>", Store},
		{"<message><thread xmlns='urn:other'>t</thread></message>", Store},
		{"<message><body xmlns='urn:other'>x</body></message>", Store},
		{"<message type='chat'><body>x</body><no-store" + hint + "</message>", Refuse},
		{"<message type='chat'><body>x</body><no-store" + hint + "<store" + hint + "</message>", Refuse},
		{"<message type='chat'><body>x</body><no-permanent-store" + hint + "</message>", Store},
		{"<message type='chat'>" + chatstate + "<store" + hint + "</message>", Store},
		{"<message type='error'><store" + hint + "</message>", Refuse},
	} {
		st, err := stanza.Parse([]byte(tt.xml))
		if err != nil {
			t.Fatal(err)
		}
		if got := Offline(st); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.xml, got, tt.want)
		}
	}
}
