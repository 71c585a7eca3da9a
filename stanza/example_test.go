package stanza_test

import (
	"fmt"

	"github.com/xmppd/xmppd/stanza"
)

// Bytes arrive in pieces of any size; what is complete is taken off.
func ExampleScanner() {
	sc := stanza.Scanner{Limits: stanza.Limits{Size: 10000}}
	var st stanza.Stanza
	var buf []byte
	for _, piece := range []string{"<message to='juliet@capulet.example'><bo", "dy>Hi</body></message> <presence/></stre", "am:stream>"} {
		buf = append(buf, piece...)
		for {
			n, err := sc.Scan(buf, &st)
			if err == nil {
				fmt.Printf("%v to %q: %q\n", st.Kind, st.To(), st.Text("body"))
			}
			buf = buf[n:]
			if err == stanza.ErrMore {
				break // read more
			}
			if err != nil {
				fmt.Println(err)
				return
			}
		}
	}
	// Output:
	// message to "juliet@capulet.example": "Hi"
	// presence to "": ""
	// stanza: end of stream
}

// A stanza is sent on as it came, but for what was changed on the way.
func ExampleStanza_AppendTo() {
	st, err := stanza.Parse([]byte("<message xmlns='jabber:client' to='juliet@capulet.example'><body>it&apos;s me</body></message>"))
	if err != nil {
		fmt.Println(err)
		return
	}
	st.SetFrom(stanza.MustJID("romeo@montague.example/orchard"))
	st.Add([]byte("<stanza-id xmlns='urn:xmpp:sid:0' id='17' by='juliet@capulet.example'/>"))
	fmt.Printf("%s\n", st.AppendTo(nil))
	// Output:
	// <message to='juliet@capulet.example' from='romeo@montague.example/orchard'><body>it&apos;s me</body><stanza-id xmlns='urn:xmpp:sid:0' id='17' by='juliet@capulet.example'/></message>
}

// Payloads are written piece by piece; values and text are escaped.
func ExampleXML() {
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSRoster, "ver", "")
	x.Start("item", "jid", "romeo@montague.example", "name", "Romeo & co").Leaf("group", "Friends").End()
	fmt.Printf("%s\n", x.Bytes())
	// Output:
	// <query xmlns='jabber:iq:roster'><item jid='romeo@montague.example' name='Romeo &amp; co'><group>Friends</group></item></query>
}
