package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// readAll reads a file and writes down what it holds.
func readAll(text string) (string, error) {
	var b strings.Builder
	err := readPortable(strings.NewReader(text), func(u portableUser, e *stanza.Stanza) error {
		if e == nil {
			fmt.Fprintf(&b, "%s@%s %s\n", u.name, u.host, u.password)
			return nil
		}
		fmt.Fprintf(&b, "  %s\n", e.Raw)
		if e.NS == "urn:fail" {
			return errors.New("enough")
		}
		return nil
	})
	return b.String(), err
}

const (
	begin = "<server-data xmlns='" + modules.NSPortable + "'>"
	user  = begin + "<host jid='a.test'><user name='alice'>"
	end   = "</user></host></server-data>"
)

func TestReadPortable(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", begin + "</server-data>", ""},
		{"two hosts", "<?xml version='1.0' encoding='UTF-8'?>\n" + begin + `
<!-- of another server -->
<host jid='a.test'>
  <user name='al&amp;ice' password='p w'>
    <query xmlns='jabber:iq:roster'><item jid='b@c' name="&lt;]]&gt;"/></query>
    <vCard xmlns='vcard-temp'/>
  </user>
  <pubsub xmlns='urn:of:the:host'><x/></pubsub>
</host>
<host jid='b.test'><user name='bob'/></host>
</server-data>
`, "al&ice@a.test p w\n  <query xmlns='jabber:iq:roster'><item jid='b@c' name=\"&lt;]]&gt;\"/></query>\n  <vCard xmlns='vcard-temp'/>\nbob@b.test \n"},
		{"lists come in pieces", user + "<offline-messages><message xmlns='jabber:client'><body>1</body></message>\n<message xmlns='jabber:client'/></offline-messages>" +
			"<archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'/></archive>" + end,
			"alice@a.test \n  <offline-messages xmlns='urn:xmpp:pie:0'><message xmlns='jabber:client'><body>1</body></message><message xmlns='jabber:client'/></offline-messages>\n" +
				"  <archive xmlns='urn:xmpp:pie:0#mam'><result xmlns='urn:xmpp:mam:2' id='1'/></archive>\n"},
		{"prefixes", "<p:server-data xmlns:p='" + modules.NSPortable + "'><p:host jid='a.test'><p:user name='u'><q xmlns='urn:q'/></p:user></p:host></p:server-data>",
			"u@a.test \n  <q xmlns='urn:q'/>\n"},
	} {
		got, err := readAll(tt.in)
		if err != nil || got != tt.want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, got, tt.want)
		}
	}
}

// D14: what no file of accounts has is refused.
func TestReadPortableRefuses(t *testing.T) {
	deep := strings.Repeat("<a>", 200) + strings.Repeat("</a>", 200)
	for _, tt := range []struct{ name, in, want string }{
		{"empty", "", "no server-data"},
		{"something else", "<html/>", "no file of XEP-0227"},
		{"another namespace", "<server-data/>", "no file of XEP-0227"},
		{"document type", "<!DOCTYPE server-data [<!ENTITY a 'x'>]>" + user + end, "document type"},
		{"document type later", user + "<!DOCTYPE x>" + end, "document type"},
		{"document type inside", user + "<q xmlns='urn:q'><!DOCTYPE x></q>" + end, "document type"},
		{"entity", user + "<q xmlns='urn:q'>&a;</q>" + end, "entity"},
		{"processing instruction", user + "<?php x?>" + end, "processing instruction"},
		{"inside", user + "<q xmlns='urn:q'><?php x?></q>" + end, "processing instruction"},
		{"late declaration", begin + "<?xml version='1.0'?></server-data>", "processing instruction"},
		{"encoding", "<?xml version='1.0' encoding='ISO-8859-1'?>" + user + end, "encoding"},
		{"ends in the middle", user + "<q xmlns='urn:q'>", "unexpected EOF"},
		{"ends early", user, "unexpected EOF"},
		{"something follows", user + end + "<more/>", "follows"},
		{"wrong end", user + "<q xmlns='urn:q'></r>" + end, "element"},
		{"deep", user + "<q xmlns='urn:q'>" + deep + "</q>" + end, "too deep"},
		{"deep outside", begin + "<x xmlns='urn:x'>" + deep + "</x></server-data>", "too deep"},
		{"bad characters", user + "<q xmlns='urn:q'>\x01</q>" + end, "character"},
		{"a handler's error", user + "<q xmlns='urn:fail'/>" + end, "enough"},
	} {
		if _, err := readAll(tt.in); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// FuzzReadPortable: what is handed over is whole, and the reader comes to an end.
func FuzzReadPortable(f *testing.F) {
	f.Add(user + "<q xmlns='urn:q'/><offline-messages><message xmlns='jabber:client'/></offline-messages>" + end)
	f.Add("<?xml version='1.0'?>" + user + "text<q xmlns='urn:q'><![CDATA[x]]></q>" + end)
	f.Add("<!DOCTYPE x>" + user)
	f.Fuzz(func(t *testing.T, text string) {
		readPortable(strings.NewReader(text), func(_ portableUser, e *stanza.Stanza) error {
			if e == nil {
				return nil
			}
			if _, err := stanza.ParseElement(e.AppendTo(nil)); err != nil && !strings.Contains(err.Error(), "prefix") {
				// In no namespace of a stream it may lack one that it inherits, and nothing else.
				t.Errorf("%q: %v", e.Raw, err)
			}
			return nil
		})
	})
}

// One element is bounded, a list is not.
func TestReadPortableSize(t *testing.T) {
	pieces := 0
	run := func(text string) (n int, err error) {
		p := newPortableReader(strings.NewReader(text), 1000, func(_ portableUser, e *stanza.Stanza) error {
			if e != nil {
				n += len(e.Children)
				pieces++
			}
			return nil
		})
		err = p.read()
		return n, err
	}
	message := "<message xmlns='jabber:client'><body>" + strings.Repeat("x", 500) + "</body></message>"
	if n, err := run(user + "<offline-messages>" + strings.Repeat(message, 1200) + "</offline-messages>" + end); n != 1200 || pieces != 3 || err != nil {
		t.Errorf("%d messages in %d pieces, %v", n, pieces, err)
	}
	if _, err := run(user + "<q xmlns='urn:q'>" + strings.Repeat(message, 3) + "</q>" + end); !errors.Is(err, errPortableSize) {
		t.Errorf("a large element: %v", err)
	}
	if _, err := run(strings.Repeat("<!-- long -->", 200) + user + strings.Repeat(" ", 5000) + end); !errors.Is(err, errPortableSize) {
		t.Errorf("much between elements: %v", err)
	}
}
