package disco

import (
	"crypto/sha1"
	"encoding/base64"
	"testing"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// The examples of XEP-0115 §5.2 and §5.3.
func TestVer(t *testing.T) {
	for _, tt := range []struct{ name, xml, want string }{
		{"simple", `<query xmlns='http://jabber.org/protocol/disco#info'>
<identity category='client' type='pc' name='Exodus 0.9.1'/>
<feature var='http://jabber.org/protocol/muc'/>
<feature var='http://jabber.org/protocol/caps'/>
<feature var='http://jabber.org/protocol/disco#info'/>
<feature var='http://jabber.org/protocol/disco#items'/></query>`, "QgayPKawpkPSDYmwT/WM94uAlu0="},
		{"complex", complexQuery, "q07IKJEyjvHSyhy//CH0CxmKi8w="},
		{"a form without hidden FORM_TYPE does not count", `<query xmlns='http://jabber.org/protocol/disco#info'>
<identity category='client' type='pc' name='Exodus 0.9.1'/>
<feature var='http://jabber.org/protocol/caps'/>
<feature var='http://jabber.org/protocol/disco#info'/>
<feature var='http://jabber.org/protocol/disco#items'/>
<feature var='http://jabber.org/protocol/muc'/>
<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>urn:f</value></field><field var='a'><value>b</value></field></x>
<x xmlns='jabber:x:data' type='result'><field var='a'><value>b</value></field></x></query>`, "QgayPKawpkPSDYmwT/WM94uAlu0="},
		// §5.1 item 2 to 7: what is sorted is the values, not what is hashed: "urn:a" before "urn:a+notify", "a" before "a b".
		{"one the beginning of another", `<query xmlns='http://jabber.org/protocol/disco#info'>
<identity category='client' type='pc' name='x'/><feature var='urn:a+notify'/><feature var='urn:a'/>
<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:f</value></field>
<field var='a b'><value>1 2</value><value>1</value></field><field var='a'/></x></query>`, sum("client/pc//x<urn:a<urn:a+notify<urn:f<a<a b<1<1 2<")},
	} {
		e, err := stanza.ParseElement([]byte(tt.xml))
		if err != nil {
			t.Fatal(err)
		}
		if got := Ver(e); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func sum(s string) string {
	h := sha1.Sum([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

const complexQuery = `<query xmlns='http://jabber.org/protocol/disco#info' node='http://psi-im.org#q07IKJEyjvHSyhy//CH0CxmKi8w='>
<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
<identity xml:lang='el' category='client' name='&#936; 0.11' type='pc'/>
<feature var='http://jabber.org/protocol/caps'/>
<feature var='http://jabber.org/protocol/disco#info'/>
<feature var='http://jabber.org/protocol/disco#items'/>
<feature var='http://jabber.org/protocol/muc'/>
<x xmlns='jabber:x:data' type='result'>
<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
<field var='ip_version' type='text-multi'><value>ipv6</value><value>ipv4</value></field>
<field var='software_version'><value>0.11</value></field>
<field var='os'><value>Mac</value></field>
<field var='os_version'><value>10.5.1</value></field>
<field var='software'><value>Psi</value></field>
</x></query>`

// The server's node is known, and what it answers has that hash.
func TestServerNode(t *testing.T) {
	h := modtest.New(t, "a.test", Info, other)
	e, err := stanza.ParseElement(Query(h.Table(), 0, ""))
	if err != nil {
		t.Fatal(err)
	}
	node := Node + "#" + Ver(e)
	answer := h.Session("alice@a.test/r").IQ("get", "a.test", "<query xmlns='http://jabber.org/protocol/disco#info' node='"+node+"'/>")
	if answer.Type != stanza.TypeResult || answer.Payload().Attr("node") != node || Node+"#"+Ver(answer.Payload()) != node {
		t.Errorf("%s", answer.AppendTo(nil))
	}
}
