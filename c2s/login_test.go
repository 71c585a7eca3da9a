package c2s

import "testing"

func TestFirstConversation(t *testing.T) {
	r := newRig(t, noTLS)
	alice := r.client("alice", "phone")
	bob := r.client("bob", "desk")
	alice.send("<message to='bob@a.test/desk' type='chat' id='m1'><body>hi</body></message>")
	bob.want("<message to='bob@a.test/desk' type='chat' id='m1' from='alice@a.test/phone'><body>hi</body></message>")
	bob.quiet()
	alice.send("</stream:stream>")
	alice.closed()
	r.watch.until(t, "closed alice@a.test/phone")
}
