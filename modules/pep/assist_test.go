package pep

import (
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// XEP-0490 §4.5.3: what a user has read goes to his own devices, and is taken out of the message to others.
func TestDisplayed(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	befriend(a, b)
	listen(t, b, nodeDisplayed)
	listen(t, a, nodeDisplayed)
	say := func(to, id string) {
		a.Say("<message to='" + to + "'><displayed xmlns='urn:xmpp:chat-markers:0' id='m'/><displayed xmlns='" + nodeDisplayed + "'><stanza-id xmlns='urn:xmpp:sid:0' by='" + alice + "' id='" + id + "'/></displayed>" +
			"<displayed xmlns='" + nodeDisplayed + "'/></message>")
	}
	say(bob, "1")
	marker := func(id string) string {
		return "<displayed xmlns='" + nodeDisplayed + "'><stanza-id xmlns='urn:xmpp:sid:0' by='" + alice + "' id='" + id + "'/></displayed>"
	}
	if got := modtest.XML(b.Sent()); strings.Contains(got, nodeDisplayed) || !strings.Contains(got, "<displayed xmlns='urn:xmpp:chat-markers:0' id='m'/>") {
		t.Errorf("bob got %s", got)
	}
	if got := events(a.Sent()); got != bob+"="+marker("1") {
		t.Errorf("alice's device got %s", got)
	}
	refused(t, b.IQ("get", alice, get(nodeDisplayed, "")), stanza.NotAllowed, "closed-node")
	say(bob, "2")
	if got := items(a.IQ("get", "", get(nodeDisplayed, ""))); got != bob+"="+marker("2") {
		t.Errorf("there is %s", got)
	}
	// Talks without end: the oldest are forgotten.
	for i := range 300 {
		say(fmt.Sprint("c", i, "@b.test"), "x")
	}
	if got := items(a.IQ("get", "", get(nodeDisplayed, ""))); strings.Count(got, "@b.test=") != 256 || strings.Contains(got, "c43@") || !strings.Contains(got, "c44@") {
		t.Errorf("there is %s", got)
	}
	if got := modtest.XML(h.Sent()); strings.Contains(got, nodeDisplayed) {
		t.Errorf("others got %s", got)
	}
	// Nobody else is told, whatever became of the node, and a full disk keeps no message back.
	ok(t, a.IQ("set", "", owner("<configure node='"+nodeDisplayed+"'>"+form(formConfig, "access_model", "open")+"</configure>")))
	b.Sent()
	say(bob, "3")
	if got := modtest.XML(b.Sent()); strings.Contains(got, nodeDisplayed) || strings.Count(got, "<message") != 1 {
		t.Errorf("bob got %s", got)
	}
	ok(t, a.IQ("set", "", owner("<configure node='"+nodeDisplayed+"'>"+form(formConfig, "access_model", "whitelist", "max_payload_size", "10")+"</configure>")))
	say(bob, "large")
	if got, log := items(a.IQ("get", "", get(nodeDisplayed, ""))), h.Log(); strings.Contains(got, "large") || strings.Contains(log, "what was read") {
		t.Errorf("there is %s, logged %s", got, log)
	}
	ok(t, a.IQ("set", "", owner("<configure node='"+nodeDisplayed+"'>"+form(formConfig, "max_payload_size", "")+"</configure>")))
	b.Sent()
	if err := h.Store.Close(); err != nil {
		t.Fatal(err)
	}
	a.Sent()
	say(bob, "4")
	if got := modtest.XML(b.Sent()); strings.Contains(got, nodeDisplayed) || strings.Count(got, "<message") != 1 {
		t.Errorf("bob got %s", got)
	}
	if log := h.Log(); strings.Count(log, "what was read is not published") != 1 {
		t.Errorf("logged %s", log)
	}
}
