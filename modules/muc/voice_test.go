package muc

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

func voiceForm(pairs ...string) string {
	f := stanza.Form{Kind: "submit", Type: nsRequest}
	for i := 0; i < len(pairs); i += 2 {
		f.Fields = append(f.Fields, stanza.FormField{Var: pairs[i], Values: []string{pairs[i+1]}})
	}
	return string(f.Bytes())
}

// TestVoice is a request for voice (§7.13), its approval by one who may (§8.6), and what is no approval.
func TestVoice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newRoom(t, "")
		d.settings(func(s *Settings) { s.Moderated = true })
		bob := d.join("bob@a.test/x", "Bob")
		carol := d.join("carol@a.test/x", "Carol")
		ask := voiceForm("muc#role", "participant")
		if got, _ := d.tell(bob, ask); got != "" {
			t.Fatal(got)
		}
		lack(t, modtest.XML(carol.Sent()), "muc#request")
		sent := d.olga.Sent()
		if len(sent) != 1 || sent[0].From() != stanza.MustJID(denJID) {
			t.Fatalf("got %s", modtest.XML(sent))
		}
		f, err := stanza.ParseForm(sent[0].Element(sent[0].Find(stanza.NSData, "x")))
		if err != nil || f.Kind != "form" || f.Type != nsRequest || f.Value("muc#jid") != "bob@a.test/x" || f.Value("muc#roomnick") != "Bob" ||
			f.Value("muc#role") != "participant" || f.Bool("muc#request_allow") || f.Field("muc#request_allow").Type != "boolean" {
			t.Fatalf("form is %s", modtest.XML(sent))
		}
		if got, _ := d.tell(bob, ask); got != "resource-constraint" {
			t.Errorf("asks again at once: %q", got)
		}
		for _, tt := range []struct {
			by   *modtest.Session
			form string
			want string
		}{
			{bob, voiceForm("muc#role", "participant", "muc#roomnick", "Bob", "muc#request_allow", "1"), "resource-constraint"}, // one more request
			{carol, voiceForm("muc#roomnick", "Bob", "muc#request_allow", "1"), "bad-request"},
			{d.olga, voiceForm("muc#role", "moderator", "muc#roomnick", "Bob", "muc#request_allow", "1"), "bad-request"},
			{d.olga, voiceForm("muc#role", "participant", "muc#roomnick", "Bob", "muc#request_allow", "0"), ""},
			{d.olga, voiceForm("muc#role", "participant", "muc#roomnick", "Nobody", "muc#request_allow", "1"), "item-not-found"},
			{d.olga, voiceForm("muc#roomnick", "Bob", "muc#jid", "carol@a.test/x", "muc#request_allow", "1"), "item-not-found"},
			{d.olga, voiceForm("muc#role", "participant"), "unexpected-request"},
		} {
			if got, _ := d.tell(tt.by, tt.form); got != tt.want {
				t.Errorf("%s: %q, must be %q", tt.form, got, tt.want)
			}
			if _, roles := d.state(); roles["Bob"] != Visitor || roles["Carol"] != Visitor {
				t.Fatalf("%s: roles are %v", tt.form, roles)
			}
		}
		bob.Sent()
		if got, _ := d.tell(d.olga, voiceForm("muc#role", "participant", "muc#jid", "bob@a.test/x", "muc#roomnick", "Bob", "muc#request_allow", "true")); got != "" {
			t.Fatal(got)
		}
		have(t, modtest.XML(bob.Sent()), "role='participant'", "<actor nick='Olga'/>")
		if got, _ := d.tell(bob, ask); got != "unexpected-request" {
			t.Errorf("has it: %q", got)
		}
		query(d.olga, "set", "<item nick='Bob' role='moderator'/>")
		if got, _ := d.tell(d.olga, voiceForm("muc#roomnick", "Bob", "muc#request_allow", "true")); got != "" {
			t.Errorf("approved late: %q", got)
		}
		if _, roles := d.state(); roles["Bob"] != Moderator {
			t.Errorf("an approval makes a moderator a %v", roles["Bob"])
		}
		query(d.olga, "set", "<item nick='Bob' role='visitor'/>")
		time.Sleep(voiceEvery)
		d.olga.Sent()
		if got, _ := d.tell(bob, ask); got != "" || !strings.Contains(modtest.XML(d.olga.Sent()), "muc#request_allow") {
			t.Errorf("asks again later: %q", got)
		}
		if got, _ := d.tell(carol, voiceForm("muc#role", "moderator")); got != "bad-request" {
			t.Errorf("asks for more: %q", got)
		}
		d.olga.Say("<presence type='unavailable' to='" + denJID + "/Olga'/>")
		if got, _ := d.tell(carol, ask); got != "recipient-unavailable" {
			t.Errorf("no moderator is there: %q", got)
		}
	})
}
