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

func TestArchivedAndCopied(t *testing.T) {
	const (
		state  = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
		hint   = " xmlns='urn:xmpp:hints'/>"
		sid    = "<stanza-id xmlns='urn:xmpp:sid:0' by='r@b' id='1'/><origin-id xmlns='urn:xmpp:sid:0' id='1'/>"
		user   = "http://jabber.org/protocol/muc#user"
		invite = "<x xmlns='" + user + "'><invite to='a@b'/></x>"
	)
	const a, c, i = 1, 2, 4 // archived; copied when it leaves; copied when it arrives
	for _, tt := range []struct {
		xml  string
		want int
	}{
		{"<message type='chat' from='a@b/c'><body>x</body></message>", a | c | i},
		{"<message><body>x</body></message>", a | c | i},
		{"<message type='normal'><body>x</body></message>", a | c | i},
		{"<message type='strange'><body>x</body></message>", a | c | i},
		{"<message type='groupchat'><body>x</body></message>", 0},
		{"<message type='headline'><body>x</body></message>", 0},
		{"<message type='error'><body>x</body></message>", 0},
		{"<message type='error'><store" + hint + "</message>", 0},
		{"<presence><body>x</body></presence>", 0},
		{"<message type='chat'>" + state + "</message>", c | i},
		{"<message type='chat'>" + state + sid + "<thread>x</thread><active xmlns='http://jabber.org/protocol/chatstates'/></message>", c | i},
		{"<message type='normal'>" + state + "</message>", c | i},
		{"<message type='chat'>" + state + "<store" + hint + "</message>", a | c | i},
		{"<message><received xmlns='urn:xmpp:receipts' id='1'/></message>", a | c | i},
		{"<message><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message>", a | c | i},
		{"<message><subject>x</subject></message>", a},
		{"<message type='chat'><encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted></message>", a | c | i},
		{"<message type='chat'><apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to></message>", a | c | i},
		{"<message type='chat'><reactions xmlns='urn:xmpp:reactions:0' id='1'/></message>", a | c | i},
		{"<message><x xmlns='jabber:x:conference' jid='r@b'/></message>", a | c | i},
		{"<message from='r@b'>" + invite + "</message>", a | c | i},
		{"<message type='chat' from='r@b/n'>" + invite + "</message>", a | c | i},
		{"<message type='chat' from='r@b/n'><body>x</body><x xmlns='" + user + "'/></message>", a | c},
		{"<message type='chat' from='r@b'><body>x</body><x xmlns='" + user + "'/></message>", a | c | i},
		{"<message type='chat'><body>x</body><no-store" + hint + "</message>", c | i},
		{"<message type='chat'><body>x</body><no-permanent-store" + hint + "</message>", c | i},
		{"<message type='chat'><body>x</body><no-copy" + hint + "</message>", a},
		{"<message type='chat'><body>x</body><private xmlns='urn:xmpp:carbons:2'/></message>", a},
		{"<message type='chat'><received xmlns='urn:xmpp:carbons:2'/></message>", 0},
		{"<message type='chat'><sent xmlns='urn:xmpp:carbons:2'/><body>x</body></message>", a},
		{"<message><result xmlns='urn:xmpp:mam:2'/></message>", 0},
		{"<message type='chat'><result xmlns='urn:xmpp:mam:2'/></message>", 0},
		{"<message><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", 0},
		{"<message><event xmlns='http://jabber.org/protocol/pubsub#event'/><body>x</body></message>", a | c | i},
		{"<message/>", 0},
		{"<message type='chat'/>", c | i},
	} {
		st, err := stanza.Parse([]byte(tt.xml))
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		if Archived(st) {
			got |= a
		}
		if Copied(st, false) {
			got |= c
		}
		if Copied(st, true) {
			got |= i
		}
		if got != tt.want {
			t.Errorf("%s: %03b, want %03b", tt.xml, got, tt.want)
		}
		if Archived(st) && Offline(st) != Store {
			t.Errorf("%s: archived, but not kept for who is offline", tt.xml)
		}
	}
}
