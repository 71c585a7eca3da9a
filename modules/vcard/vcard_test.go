package vcard

import (
	"context"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/authtoken"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice  = "alice@a.test"
	bob    = "bob@a.test"
	get    = "<vCard xmlns='vcard-temp'/>"
	simple = "<vCard xmlns='vcard-temp'><FN>Alice &amp; <![CDATA[<co>]]></FN><N><GIVEN>A</GIVEN></N></vCard>"
	pubsub = "http://jabber.org/protocol/pubsub"
)

var (
	infos = []modules.Info{roster.Info, disco.Info, caps.Info, pep.Info, Info}
	png   = []byte("\x89PNG\r\n\x1a\n and so on")
	jpeg  = []byte("\xff\xd8\xff and so on")
)

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func hash(b []byte) string {
	sum := sha1.Sum(b)
	return hex.EncodeToString(sum[:])
}

func ok(t *testing.T, st *stanza.Stanza) *stanza.Stanza {
	t.Helper()
	if st.Type != stanza.TypeResult {
		t.Fatalf("refused: %s", st.AppendTo(nil))
	}
	return st
}

func refused(t *testing.T, st *stanza.Stanza, c stanza.Condition) {
	t.Helper()
	if e := st.StanzaError(); e == nil || e.Condition != c {
		t.Errorf("got %s, want %s", st.AppendTo(nil), c)
	}
}

func photo(b []byte) string {
	return "<PHOTO><TYPE>image/x</TYPE><BINVAL>" + b64(b) + "</BINVAL></PHOTO>"
}

func with(photo string) string { return strings.Replace(simple, "<N>", photo+"<N>", 1) }

func publish(t *testing.T, s *modtest.Session, node, id, payload, access string) {
	t.Helper()
	options := ""
	if access != "" {
		options = "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>" + access + "</value></field></x></publish-options>"
	}
	ok(t, s.IQ("set", "", "<pubsub xmlns='"+pubsub+"'><publish node='"+node+"'><item id='"+id+"'>"+payload+"</item></publish>"+options+"</pubsub>"))
}

// setAvatar publishes an avatar as XEP-0084 §3 says.
func setAvatar(t *testing.T, s *modtest.Session, b []byte, access string) {
	t.Helper()
	publish(t, s, nodeData, hash(b), "<data xmlns='"+nodeData+"'>"+b64(b)+"</data>", access)
	publish(t, s, nodeMetadata, hash(b), "<metadata xmlns='"+nodeMetadata+"'><info url='http://x.test/' id='"+strings.Repeat("0", 40)+"' bytes='1' type='image/gif'/><info id='"+hash(b)+"' bytes='1' type='image/png'/></metadata>", access)
}

// XEP-0054 §3.1, §3.2: what a user says of himself can be read by himself and by others, as he said it.
func TestVCard(t *testing.T) {
	for name, infos := range map[string][]modules.Info{"with mod_pep": infos, "alone": {roster.Info, Info}} {
		t.Run(name, func(t *testing.T) {
			h := modtest.New(t, "a.test", infos...)
			a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
			refused(t, a.IQ("get", "", get), stanza.ItemNotFound)
			ok(t, a.IQ("set", "", simple))
			for _, st := range []*stanza.Stanza{a.IQ("get", "", get), a.IQ("get", alice, get), b.IQ("get", alice, get)} {
				if got := string(ok(t, st).AppendTo(nil)); !strings.Contains(got, ">"+simple+"<") {
					t.Errorf("got %s", got)
				}
			}
			ok(t, a.IQ("set", alice, get))
			if got := string(ok(t, a.IQ("get", "", get)).AppendTo(nil)); !strings.Contains(got, get) {
				t.Errorf("got %s", got)
			}
			refused(t, b.IQ("set", alice, simple), stanza.Forbidden) // Z12
			refused(t, b.IQ("set", "nobody@a.test", simple), stanza.Forbidden)
			refused(t, a.IQ("set", "", "<x xmlns='vcard-temp'/>"), stanza.FeatureNotImplemented)
			refused(t, a.IQ("get", "a.test", get), stanza.ServiceUnavailable)
		})
	}
}

// XEP-0054 §3.3: a user without a vCard and none at all are the same.
func TestNoVCard(t *testing.T) {
	h := modtest.New(t, "a.test", infos...)
	h.User("alice")
	b := h.Session(bob + "/b")
	answer := func(to string) string {
		st := b.IQ("get", to, get)
		refused(t, st, stanza.ServiceUnavailable)
		_, s, _ := strings.Cut(string(st.AppendTo(nil)), "<error")
		return s
	}
	if x, y := answer(alice), answer("nobody@a.test"); x != y {
		t.Errorf("%s and %s", x, y)
	}
}

// R12: a vCard has a size, what was there stays.
func TestLimit(t *testing.T) {
	h := modtest.NewConfig(t, "a.test", "[modules.mod_vcard]\nsize = \"1KiB\"\n[modules.mod_pep]\navatar_size = \"200B\"\n", infos...)
	a := h.Session(alice + "/one")
	ok(t, a.IQ("set", "", simple))
	refused(t, a.IQ("set", "", with("<NOTE>"+strings.Repeat("x", 1000)+"</NOTE>")), stanza.ResourceConstraint)
	refused(t, a.IQ("set", "", with(photo(make([]byte, 300)))), stanza.NotAcceptable)
	if got := string(ok(t, a.IQ("get", "", get)).AppendTo(nil)); !strings.Contains(got, simple) {
		t.Errorf("got %s", got)
	}
}

// XEP-0398 §3.1: an avatar that is published is in the vCard, for those who may see it.
func TestAvatarInVCard(t *testing.T) {
	h := modtest.New(t, "a.test", infos...)
	a, b, e := h.Session(alice+"/one"), h.Session(bob+"/b"), h.Session("eve@a.test/e")
	b.Say("<presence type='subscribe' to='" + alice + "'/>")
	a.Say("<presence type='subscribed' to='" + bob + "'/>")
	setAvatar(t, a, png, "")
	want := "<PHOTO xmlns='vcard-temp'><TYPE>image/png</TYPE><BINVAL>" + b64(png) + "</BINVAL></PHOTO></vCard>"
	sees := func(s *modtest.Session) bool {
		return strings.Contains(string(s.IQ("get", alice, get).AppendTo(nil)), want)
	}
	if !sees(a) || !sees(b) || sees(e) {
		t.Errorf("no vCard: alice %v, bob %v, eve %v", sees(a), sees(b), sees(e))
	}
	refused(t, e.IQ("get", alice, get), stanza.ServiceUnavailable)
	ok(t, a.IQ("set", "", with("<PHOTO><EXTVAL>http://x.test/</EXTVAL></PHOTO>"+photo(png))))
	if !sees(a) || !sees(b) || sees(e) {
		t.Errorf("with vCard: alice %v, bob %v, eve %v", sees(a), sees(b), sees(e))
	}
	if got := string(ok(t, e.IQ("get", alice, get)).AppendTo(nil)); strings.Contains(got, b64(png)) || !strings.Contains(got, "<GIVEN>") {
		t.Errorf("eve sees %s", got)
	}
	if got := string(a.IQ("get", "", get).AppendTo(nil)); strings.Count(got, "PHOTO") != 2 || !strings.Contains(got, "Alice &amp; <![CDATA[<co>]]>") {
		t.Errorf("alice sees %s", got)
	}
	// An image that is not what its hash says, or none, is no picture.
	publish(t, a, nodeData, hash(png), "<data xmlns='"+nodeData+"'>"+b64(jpeg)+"</data>", "")
	if sees(a) {
		t.Error("a false hash")
	}
	for _, bad := range []string{"<data xmlns='" + nodeData + "'>%%%</data>", "<x xmlns='urn:x'/>"} {
		publish(t, a, nodeData, hash(png), bad, "")
		if sees(a) {
			t.Error(bad)
		}
	}
}

// XEP-0398 §3.2: a picture in a vCard is an avatar that others are told of; the same one again is no news; without one there is
// none any more.
func TestVCardToAvatar(t *testing.T) {
	h := modtest.New(t, "a.test", infos...)
	a, e := h.Session(alice+"/one"), h.Session("eve@a.test/e")
	item := func(node string) *stanza.Stanza {
		return e.IQ("get", alice, "<pubsub xmlns='"+pubsub+"'><items node='"+node+"'/></pubsub>")
	}
	ok(t, a.IQ("set", "", with(photo(jpeg))))
	if got := string(ok(t, item(nodeData)).AppendTo(nil)); !strings.Contains(got, "<item id='"+hash(jpeg)+"'><data xmlns='"+nodeData+"'>"+b64(jpeg)+"</data>") {
		t.Errorf("data: %s", got)
	}
	meta := string(ok(t, item(nodeMetadata)).AppendTo(nil))
	if !strings.Contains(meta, "<item id='"+hash(jpeg)+"'><metadata xmlns='"+nodeMetadata+"'><info bytes='13' id='"+hash(jpeg)+"' type='image/jpeg'/></metadata>") {
		t.Errorf("metadata: %s", meta)
	}
	listen(t, a, nodeMetadata)
	ok(t, a.IQ("set", "", with("\n<PHOTO><BINVAL>\n"+b64(jpeg)[:8]+"\n "+b64(jpeg)[8:]+"\n</BINVAL></PHOTO>")))
	if got := a.Sent(); len(got) > 0 {
		t.Errorf("the same: told %s", modtest.XML(got))
	}
	ok(t, a.IQ("set", "", with("<PHOTO><BINVAL>%%%</BINVAL></PHOTO>"))) // not a picture: part of the vCard, and none to show
	if got := a.Sent(); len(got) != 1 || !strings.Contains(modtest.XML(got), "<metadata xmlns='"+nodeMetadata+"'/>") {
		t.Errorf("none: told %s", modtest.XML(got))
	}
	if got := string(a.IQ("get", "", get).AppendTo(nil)); !strings.Contains(got, "%%%") {
		t.Errorf("there is %s", got)
	}
	ok(t, a.IQ("set", "", simple))
	if got := a.Sent(); len(got) > 0 {
		t.Errorf("still none: told %s", modtest.XML(got))
	}
	for b, want := range map[string]string{"GIF89a": "image/gif", "RIFF....WEBP.": "image/webp", "<svg>": "image/x"} {
		ok(t, a.IQ("set", "", with(photo([]byte(b)))))
		if got := modtest.XML(a.Sent()); !strings.Contains(got, "type='"+want+"'") {
			t.Errorf("%s: told %s", b, got)
		}
	}
}

// XEP-0398 §4: the hash of the avatar is in presence.
func TestPresence(t *testing.T) {
	h := modtest.New(t, "a.test", infos...)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	b.Say("<presence type='subscribe' to='" + alice + "'/>")
	a.Say("<presence type='subscribed' to='" + bob + "'/>")
	b.Available(0, "")
	b.Sent()
	last := func(list []*stanza.Stanza) string {
		if len(list) == 0 {
			return "nothing"
		}
		st := list[len(list)-1]
		out := []string{}
		for i := st.Find(nsUpdate, "x"); i >= 0; i = st.FindNext(i, nsUpdate, "x") {
			if c := st.Element(i).Child("", "photo"); c == nil {
				out = append(out, "empty")
			} else {
				out = append(out, "<"+c.Text+">")
			}
		}
		return strings.Join(out, " ")
	}
	x := func(s string) string { return "<x xmlns='vcard-temp:x:update'>" + s + "</x>" }
	broadcast := func(payload string) string { a.Available(0, payload); return last(b.Sent()) }
	directed := func(to, payload string) string {
		h.Sent()
		a.Say("<presence to='" + to + "'>" + payload + "</presence>")
		return last(h.Sent())
	}
	for payload, want := range map[string]string{"": "", x(""): "<>", x("<photo/>"): "<>", x("<photo>abc</photo>"): "<abc>"} {
		if got := broadcast(payload); got != want {
			t.Errorf("no avatar, %s: %s", payload, got)
		}
	}
	setAvatar(t, a, png, "")
	theirs := "<" + hash(png) + ">"
	for payload, want := range map[string]string{"": theirs, x(""): theirs, x("<photo/>"): "<>", x("<photo>abc</photo>"): theirs, x("<photo>" + hash(png) + "</photo>"): theirs, x("") + x(""): theirs} {
		if got := broadcast(payload); got != want {
			t.Errorf("%s: %s", payload, got)
		}
	}
	if got := directed("room@muc.b.test/a", ""); got != "" {
		t.Errorf("strangers learn the hash of an avatar that is for contacts: %s", got)
	}
	configure := func(access string) {
		for _, node := range []string{nodeMetadata, nodeData} {
			ok(t, a.IQ("set", "", "<pubsub xmlns='"+pubsub+"#owner'><configure node='"+node+"'><x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>"+access+"</value></field></x></configure></pubsub>"))
		}
	}
	configure("open")
	if got := directed("room@muc.b.test/a", x("")); got != theirs {
		t.Errorf("to a room: %s", got)
	}
	if got := directed("room@muc.b.test/a", x("<photo/>")); got != "<>" {
		t.Errorf("to a room, wanting none: %s", got)
	}
	configure("whitelist")
	if got := broadcast(""); got != "" {
		t.Errorf("contacts learn the hash of an avatar that is for nobody: %s", got)
	}
	// Hashes are hashes.
	publish(t, a, nodeMetadata, "x", "<metadata xmlns='"+nodeMetadata+"'><info id='&lt;x' bytes='1' type='image/png'/></metadata>", "")
	configure("open")
	if got := broadcast(""); got != "" {
		t.Errorf("%s", got)
	}
	a.Say("<presence to='room@muc.b.test/a' type='unavailable'/>")
	if got := last(h.Sent()); got != "" {
		t.Errorf("on leaving: %s", got)
	}
}

// The vCard of a token becomes the account's, picture and all; one without a picture leaves the avatar.
func TestSetVCard(t *testing.T) {
	h := modtest.New(t, "a.test", append(infos, finder)...)
	a := h.Session(alice + "/one")
	keeper := found
	if keeper == nil {
		t.Fatal("mod_auth_token does not find us")
	}
	if err := keeper.SetVCard(context.Background(), stanza.MustJID(alice), []byte(with(photo(png)))); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := string(ok(t, a.IQ("get", "", get)).AppendTo(nil)); !strings.Contains(got, b64(png)) || !strings.Contains(got, "<GIVEN>") {
			t.Errorf("got %s", got)
		}
		if err := keeper.SetVCard(context.Background(), stanza.MustJID(alice), []byte(simple)); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"", "<vCard/>", "<x xmlns='vcard-temp'/>"} {
		if err := keeper.SetVCard(context.Background(), stanza.MustJID(alice), []byte(bad)); err == nil {
			t.Errorf("%q is a vCard", bad)
		}
	}
}

var found authtoken.VCards

var finder = modules.Define(modules.Info{Name: "mod_finder"}, struct{}{}, func(struct{}) modules.Module { return find{} })

type find struct{}

func (find) Start(_ context.Context, h *modules.Host) (err error) {
	found, err = modules.Find[authtoken.VCards](h)
	return err
}
func (find) Stop(context.Context) error { return nil }

func TestUserDeleted(t *testing.T) {
	h := modtest.New(t, "a.test", infos...)
	a := h.Session(alice + "/one")
	ok(t, a.IQ("set", "", with(photo(png))))
	if err := h.Users.Delete(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	a.IQ("set", "", simple) // its session is on its way out
	a.Close(nil)
	refused(t, h.Session(alice+"/one").IQ("get", "", get), stanza.ItemNotFound)
}

// A store that fails costs the answer; presence goes on.
func TestStoreFails(t *testing.T) {
	h := modtest.New(t, "a.test", infos...)
	a := h.Session(alice + "/one")
	ok(t, a.IQ("set", "", with(photo(png))))
	if err := h.Store.Close(); err != nil {
		t.Fatal(err)
	}
	refused(t, a.IQ("get", "", get), stanza.InternalServerError)
	refused(t, a.IQ("set", "", simple), stanza.InternalServerError)
	a.Available(0, "")
	if got := a.Sent(); len(got) != 1 || strings.Count(h.Log(), "avatar not read for presence") != 1 {
		t.Errorf("got %s, logged %s", modtest.XML(got), h.Log())
	}
}

func listen(t *testing.T, s *modtest.Session, node string) {
	t.Helper()
	query := "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/><feature var='" + node + "+notify'/></query>"
	e, err := stanza.ParseElement([]byte(query))
	if err != nil {
		t.Fatal(err)
	}
	s.Available(0, "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='"+disco.Ver(e)+"'/>")
	for _, st := range s.Sent() {
		if st.Kind == stanza.KindIQ {
			s.Say("<iq type='result' id='" + st.ID() + "' to='" + st.From().String() + "'>" + query + "</iq>")
		}
	}
	s.Sent()
}

// FuzzVCard stores what anybody might send. It is never worse than refused, and what is read is well-formed.
func FuzzVCard(f *testing.F) {
	f.Add(simple)
	f.Add(with(photo(png)))
	f.Add("<v:vCard xmlns:v='vcard-temp'><v:PHOTO><v:BINVAL>" + b64(png) + "</v:BINVAL></v:PHOTO>]]<v:PHOTO/>&gt;</v:vCard>")
	f.Fuzz(func(t *testing.T, s string) {
		st, err := stanza.Parse([]byte("<iq type='set' id='1'>" + s + "</iq>"))
		if err != nil || len(st.Children) != 1 || st.Children[0].NS != ns {
			return
		}
		h := modtest.New(t, "a.test", infos...)
		a := h.Session(alice + "/one")
		if st := a.IQ("set", "", s); st.Type == stanza.TypeError {
			if e := st.StanzaError(); e == nil || e.Condition == stanza.InternalServerError {
				t.Errorf("%s", st.AppendTo(nil))
			}
			return
		}
		if got := a.IQ("get", "", get); got.Type != stanza.TypeResult || got.Payload().Name != "vCard" {
			t.Errorf("%s became %s", s, got.AppendTo(nil))
		}
	})
}
