package stanza

import (
	"fmt"
	"strings"
	"testing"
)

// What clients send: a chat message, a message in a group chat, an IQ with a form, a roster.
var (
	chat = `<message to='juliet@capulet.example' type='chat' id='c0f5e6a1-9d7d-4c0b-8d0b-2f1a5c6b7d8e' xml:lang='en'>` +
		`<body>Wherefore art thou, Romeo? It&apos;s late &amp; dark.</body><active xmlns='http://jabber.org/protocol/chatstates'/>` +
		`<request xmlns='urn:xmpp:receipts'/><origin-id xmlns='urn:xmpp:sid:0' id='c0f5e6a1-9d7d-4c0b-8d0b-2f1a5c6b7d8e'/>` +
		`<markable xmlns='urn:xmpp:chat-markers:0'/></message>`
	muc = `<message to='coven@chat.shakespeare.example' type='groupchat' id='9d7d-4c0b-8d0b-2f1a' xml:lang='en'>` +
		`<body>Double, double toil and trouble; fire burn and cauldron bubble. Ünd nöch etwäs Text, damit es länger wird: ` +
		`cool it with a baboon&apos;s blood, then the charm is firm and good.</body>` +
		`<markable xmlns='urn:xmpp:chat-markers:0'/><origin-id xmlns='urn:xmpp:sid:0' id='9d7d-4c0b-8d0b-2f1a'/>` +
		`<store xmlns='urn:xmpp:hints'/></message>`
	form   = benchForm()
	roster = benchRoster()
)

func benchForm() string {
	var b strings.Builder
	b.WriteString(`<iq to='pubsub.shakespeare.example' type='set' id='config2'><pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>` +
		`<configure node='princely_musings'><x xmlns='jabber:x:data' type='submit'>`)
	for i := range 18 {
		fmt.Fprintf(&b, "<field var='pubsub#option_number_%d' type='list-single'><value>value %d</value></field>", i, i)
	}
	b.WriteString(`</x></configure></pubsub></iq>`)
	return b.String()
}

func benchRoster() string {
	var b strings.Builder
	b.WriteString(`<iq to='romeo@montague.example/orchard' type='result' id='r1'><query xmlns='jabber:iq:roster' ver='42'>`)
	for i := range 25 {
		fmt.Fprintf(&b, "<item jid='friend%d@capulet.example' name='Friend No. %d' subscription='both'><group>Friends</group></item>", i, i)
	}
	b.WriteString(`</query></iq>`)
	return b.String()
}

func benchmarkScan(b *testing.B, in string) {
	raw := []byte(in)
	var sc Scanner
	sc.Limits = Limits{Size: 256 << 10, Depth: 64, Elements: 10000, Attrs: 64, Namespaces: 16, Name: 256, Value: 64 << 10}
	var st Stanza
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sc.Scan(raw, &st); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanChat(b *testing.B)   { benchmarkScan(b, chat) }
func BenchmarkScanMUC(b *testing.B)    { benchmarkScan(b, muc) }
func BenchmarkScanIQ(b *testing.B)     { benchmarkScan(b, form) }
func BenchmarkScanRoster(b *testing.B) { benchmarkScan(b, roster) }
func BenchmarkScanText(b *testing.B) {
	benchmarkScan(b, "<message><body>"+strings.Repeat("All work and no play makes Jack a dull boy. ", 200)+"</body></message>")
}
func BenchmarkScanCyrillic(b *testing.B) {
	benchmarkScan(b, "<message><body>"+strings.Repeat("Все счастливые семьи похожи друг на друга. ", 100)+"</body></message>")
}

// BenchmarkForward is what the server does with a chat message: read, stamp from, write.
func BenchmarkForward(b *testing.B) {
	raw := []byte(chat)
	var sc Scanner
	var st Stanza
	from := MustJID("romeo@montague.example/orchard")
	buf := make([]byte, 0, 4096)
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sc.Scan(raw, &st); err != nil {
			b.Fatal(err)
		}
		st.SetFrom(from)
		st.SetLang("en")
		buf = st.AppendTo(buf[:0])
	}
}

func BenchmarkInternJID(b *testing.B) {
	j := []byte("juliet@capulet.example/balcony")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := InternJID(j); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseJID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseJID("juliet@capulet.example/balcony"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkElement(b *testing.B) {
	st, err := Parse([]byte(roster))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(roster)))
	b.ReportAllocs()
	for b.Loop() {
		if st.Payload() == nil {
			b.Fatal("no payload")
		}
	}
}

func BenchmarkNew(b *testing.B) {
	from, to := MustJID("capulet.example"), MustJID("juliet@capulet.example/balcony")
	payload := []byte("<query xmlns='jabber:iq:roster' ver='1'/>")
	b.ReportAllocs()
	for b.Loop() {
		New(KindIQ, TypeResult, "id17", from, to, payload)
	}
}
