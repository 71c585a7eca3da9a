package muc

import (
	"slices"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// valid says what is wrong with settings that a form made.
func (s *Settings) valid(c *Config) string {
	switch {
	case len(s.Name) > maxName, len(s.Description) > maxDescription, len(s.Lang) > maxLang, len(s.Password) > maxPassword:
		return "a text is too long"
	case s.Whois != whoisAnyone && s.Whois != whoisModerators:
		return "whois"
	case !slices.Contains([]string{pmAnyone, pmParticipants, pmModerators, pmNone}, s.AllowPM):
		return "allowpm"
	case s.MaxUsers < 1 || s.MaxUsers > c.MaxOccupants:
		return "maxusers"
	case s.History < 0 || s.History > c.HistoryMax:
		return "history"
	}
	return ""
}

// FuzzForm: whatever is submitted, settings stay valid, an error changes nothing, and what the form says can be sent back.
func FuzzForm(f *testing.F) {
	for i := range roomSettings {
		for _, v := range []string{"", "0", "1", "none", "anyone", "x"} {
			f.Add("<x xmlns='jabber:x:data' type='submit'>" + formType + fields(roomSettings[i].names[0], v) + "</x>")
		}
	}
	f.Add("<x xmlns='jabber:x:data' type='submit'>" + formType + fields(fieldProtected, "1", fieldSecret, "s", "muc#roomconfig_maxusers", "7", "muc#maxhistoryfetch", "9") + "</x>")
	c := Defaults
	f.Fuzz(func(t *testing.T, xml string) {
		e, err := stanza.ParseElement([]byte(xml))
		if err != nil {
			return
		}
		form, err := stanza.ParseForm(e)
		if err != nil {
			return
		}
		was := c.settings()
		now, bad := was.with(form, &c)
		if bad != nil && (now != was || bad.Text == "") {
			t.Errorf("refused with %v, and changed to %+v", bad, now)
		}
		if what := now.valid(&c); what != "" {
			t.Errorf("%s: %+v", what, now)
		}
		back, err := stanza.ParseElement(now.form(&c, "x").Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if form, err = stanza.ParseForm(back); err != nil {
			t.Fatal(err)
		}
		if again, bad := now.with(form, &c); bad != nil || again != now {
			t.Errorf("sent back: %v\n%+v\n%+v", bad, now, again)
		}
	})
}
