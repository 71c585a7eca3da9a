package interop

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestFederationRooms: rooms of ours are entered from Prosody and ejabberd, and theirs from ours.
func TestFederationRooms(t *testing.T) {
	if !apart(t) {
		return
	}
	l := newLab(t)
	prosody, ejabberd, x := l.prosody(), l.ejabberd(), l.xmppd(t, "")
	for _, p := range []*program{prosody, ejabberd} {
		theirs := good(p.name)
		// The lab itself: other people's servers among themselves.
		t.Run("a room of "+p.name+"'s, from the third", func(t *testing.T) {
			other := map[string]*program{"prosody": ejabberd, "ejabberd": prosody}[p.name]
			gather(t, p.client(t, "carol", theirs), other.client(t, "dave", good(other.name)), "lab@"+rooms(p.name))
		})
		t.Run("a room of ours, from "+p.name, func(t *testing.T) {
			gather(t, online(t, x, "host-"+p.name, good("xmppd")), p.client(t, "carol", theirs), p.name+"@"+rooms("xmppd"))
		})
		t.Run("a room of "+p.name+"'s, from ours", func(t *testing.T) {
			gather(t, p.client(t, "carol", theirs), online(t, x, "guest-"+p.name, good("xmppd")), "xmppd@"+rooms(p.name))
		})
	}
	t.Run("a server that is gone", func(t *testing.T) {
		const room = "ghosts"
		alice, carol := online(t, x, "alice", good("xmppd")), prosody.client(t, "ghost", good("prosody"))
		where := room + "@" + rooms("xmppd")
		alice.OpenRoom(where + "/alice")
		carol.JoinRoom(where+"/ghost", "")
		await(alice, "<presence from='"+where+"/ghost' type='-'/>")
		prosody.kill()
		// What is said comes back, and who cannot be reached is out of the room (XEP-0045 §11.1).
		alice.Send("<message to='%s' type='groupchat' id='m'><body>anybody there?</body></message>", where)
		await(alice, "<message from='"+where+"/alice' id='m'/>")
		await(alice, "<presence from='"+where+"/ghost' type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'><item role='none'/><status code='333'/></x></presence>")
	})
}

// gather has the one make a room and the other enter it: they see each other, talk to all and in private, and the guest is put
// out and kept out.
func gather(t *testing.T, owner, guest *xtest.Client, room string) {
	t.Helper()
	const user = "xmlns='http://jabber.org/protocol/muc#user'"
	owner.OpenRoom(room+"/owner", "changesubject=0")
	owner.Send("<message to='%s' type='groupchat' id='s'><subject>Fire &amp; Grüße</subject></message>", room)
	await(owner, "<message type='groupchat'><subject>Fire &amp; Grüße</subject></message>")
	owner.Send("<message to='%s' type='groupchat' id='before'><body>before</body></message>", room)
	await(owner, "<message from='"+room+"/owner' type='groupchat'><body>before</body></message>")

	guest.Send("<presence to='%s/guest'><x xmlns='http://jabber.org/protocol/muc'/></presence>", room)
	await(guest, "<presence from='"+room+"/owner' type='-'><x "+user+"><item affiliation='owner' role='moderator'/></x></presence>")
	await(guest, "<presence from='"+room+"/guest' type='-'><x "+user+"><item affiliation='none' role='participant'/><status code='110'/></x></presence>")
	await(guest, "<message from='"+room+"/owner' type='groupchat'><body>before</body><delay xmlns='urn:xmpp:delay'/></message>")
	await(guest, "<message type='groupchat'><subject>Fire &amp; Grüße</subject></message>")
	await(owner, "<presence from='"+room+"/guest' type='-'><x "+user+"><item jid='"+guest.JID+"'/></x></presence>")

	for _, p := range [][3]any{{owner, guest, "owner"}, {guest, owner, "guest"}} {
		a, b, nick := p[0].(*xtest.Client), p[1].(*xtest.Client), p[2].(string)
		a.Send("<message to='%s' type='groupchat' id='m1'><body>a &lt;b> &amp; c 🙂</body><x:y xmlns:x='urn:x' z='1'><w xmlns='urn:w'/></x:y></message>", room)
		for _, c := range []*xtest.Client{a, b} {
			await(c, "<message from='"+room+"/"+nick+"' to='"+c.JID+"' type='groupchat'><body>a &lt;b> &amp; c 🙂</body><y xmlns='urn:x' z='1'><w xmlns='urn:w'/></y></message>")
		}
		to := strings.NewReplacer("owner", "guest", "guest", "owner").Replace(nick)
		a.Send("<message to='%s/%s' type='chat' id='p1'><body>between us</body></message>", room, to)
		await(b, "<message from='"+room+"/"+nick+"' type='chat'><body>between us</body></message>")
		a.Send("<presence to='%s/%s'><show>away</show><status>Grüße</status></presence>", room, nick)
		await(b, "<presence from='"+room+"/"+nick+"'><show>away</show><status>Grüße</status></presence>")
	}
	guest.Send("<message to='%s' type='groupchat' id='no'><subject>mine</subject></message>", room)
	await(guest, "<message from='"+room+"' type='error' id='no'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	if n := owner.Ask("set", room, "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='outcast' jid='"+bare(guest)+"'/></query>"); n.Attr("type") != "result" {
		t.Fatalf("no ban: %s", n)
	}
	await(guest, "<presence from='"+room+"/guest' type='unavailable'><x "+user+"><item affiliation='outcast' role='none'/><status code='301'/></x></presence>")
	guest.Send("<presence to='%s/guest' id='again'><x xmlns='http://jabber.org/protocol/muc'/></presence>", room)
	await(guest, "<presence from='"+room+"/guest' type='error'><error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>")
}
