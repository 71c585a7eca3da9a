package muc

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// The longest texts that owners may set, in bytes.
const (
	maxName        = 256
	maxDescription = 1024
	maxLang        = 64
	maxPassword    = 256
)

// The fields of the password, which are read together.
const (
	fieldProtected = "muc#roomconfig_passwordprotectedroom"
	fieldSecret    = "muc#roomconfig_roomsecret"
)

// setting is a field of the form in which owners configure a room (§10.2, §16.5.3).
type setting struct {
	names      []string // the first is the form's; the others are taken too, since clients that know other servers send them
	typ, label string
	choices    []stanza.FormOption
	get        func(s *Settings, c *Config) string
	set        func(s *Settings, c *Config, v string) *stanza.Error // nil: see setPassword
}

// roomSettings are all of them, in the order of the form.
//
// There is no field for logs (muc#roomconfig_enablelogging) in the form: rooms have an archive, and a client that fills in one field and
// leaves the other as it was would say both yes and no. Clients call the archive what Prosody and ejabberd call it.
var roomSettings = []setting{
	text("Name", maxName, func(s *Settings) *string { return &s.Name }, "muc#roomconfig_roomname"),
	text("Description", maxDescription, func(s *Settings) *string { return &s.Description }, "muc#roomconfig_roomdesc"),
	language("muc#roomconfig_lang"),
	flag("Keep the room when the last one leaves", func(s *Settings) *bool { return &s.Persistent }, "muc#roomconfig_persistentroom"),
	flag("List the room publicly", func(s *Settings) *bool { return &s.Public }, "muc#roomconfig_publicroom"),
	flag("Only members may enter", func(s *Settings) *bool { return &s.MembersOnly }, "muc#roomconfig_membersonly"),
	flag("Members may invite others", func(s *Settings) *bool { return &s.AllowInvites },
		"muc#roomconfig_allowinvites", "{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites"),
	flag("Only those with voice may speak", func(s *Settings) *bool { return &s.Moderated }, "muc#roomconfig_moderatedroom"),
	flag("Participants may change the subject", func(s *Settings) *bool { return &s.ChangeSubject }, "muc#roomconfig_changesubject"),
	{names: []string{fieldProtected}, typ: "boolean", label: "A password is needed to enter",
		get: func(s *Settings, _ *Config) string { return boolean(s.Password != "") }},
	{names: []string{fieldSecret}, typ: "text-private", label: "Password",
		get: func(s *Settings, _ *Config) string { return s.Password }},
	choice("Who sees the real addresses", func(s *Settings) *string { return &s.Whois }, "muc#roomconfig_whois",
		stanza.FormOption{Label: "Moderators", Value: whoisModerators}, stanza.FormOption{Label: "Everybody", Value: whoisAnyone}),
	choice("Who may send private messages", func(s *Settings) *string { return &s.AllowPM }, "muc#roomconfig_allowpm",
		stanza.FormOption{Label: "Everybody", Value: pmAnyone}, stanza.FormOption{Label: "Those with voice", Value: pmParticipants},
		stanza.FormOption{Label: "Moderators", Value: pmModerators}, stanza.FormOption{Label: "Nobody", Value: pmNone}),
	maxUsers("muc#roomconfig_maxusers"),
	flag("Keep an archive of what is said", func(s *Settings) *bool { return &s.Archive },
		"muc#roomconfig_enablearchiving", "mam", "muc#roomconfig_mam", "muc#roomconfig_enablelogging"),
	number("Messages shown to who enters", func(s *Settings) *int { return &s.History }, 0, func(c *Config) int { return c.HistoryMax },
		"muc#maxhistoryfetch", "muc#roomconfig_historylength"),
}

func boolean(v bool) string {
	if v {
		return "1"
	}
	return "0"
}

func unacceptable(name, what string) *stanza.Error { // §10.1.3
	return stanza.Err(stanza.NotAcceptable, name+": "+what)
}

func ill(name, what string) *stanza.Error { return stanza.Err(stanza.BadRequest, name+": "+what) }

func flag(label string, of func(*Settings) *bool, names ...string) setting {
	return setting{names: names, typ: "boolean", label: label,
		get: func(s *Settings, _ *Config) string { return boolean(*of(s)) },
		set: func(s *Settings, _ *Config, v string) *stanza.Error {
			on, ok := parseBoolean(v)
			if !ok {
				return ill(names[0], "must be 0 or 1")
			}
			*of(s) = on
			return nil
		},
	}
}

// parseBoolean reads a value of XEP-0004 §3.3.
func parseBoolean(v string) (on, ok bool) {
	on = v == "1" || v == "true"
	return on, on || v == "0" || v == "false"
}

func text(label string, size int, of func(*Settings) *string, names ...string) setting {
	return setting{names: names, typ: "text-single", label: label,
		get: func(s *Settings, _ *Config) string { return *of(s) },
		set: func(s *Settings, _ *Config, v string) *stanza.Error {
			if v = strings.TrimSpace(v); len(v) > size {
				return unacceptable(names[0], fmt.Sprintf("may have %d bytes, has %d", size, len(v)))
			}
			*of(s) = v
			return nil
		},
	}
}

// language is a text that must be a language tag, as far as can be told without a list of them (RFC 5646 §2.1).
func language(name string) setting {
	f := text("Language", maxLang, func(s *Settings) *string { return &s.Lang }, name)
	f.set = func(s *Settings, _ *Config, v string) *stanza.Error {
		v = strings.TrimSpace(v)
		bad := func(c rune) bool {
			return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
		}
		if len(v) > maxLang || strings.ContainsFunc(v, bad) {
			return unacceptable(name, "must be a language, such as en or pt-BR")
		}
		s.Lang = v
		return nil
	}
	return f
}

func choice(label string, of func(*Settings) *string, name string, choices ...stanza.FormOption) setting {
	return setting{names: []string{name}, typ: "list-single", label: label, choices: choices,
		get: func(s *Settings, _ *Config) string { return *of(s) },
		set: func(s *Settings, _ *Config, v string) *stanza.Error {
			var known []string
			for _, o := range choices {
				known = append(known, o.Value)
			}
			if !slices.Contains(known, v) {
				return unacceptable(name, "must be one of "+strings.Join(known, ", "))
			}
			*of(s) = v
			return nil
		},
	}
}

// number is a number up to what the service allows. Where that has become less, it is what is shown and what is obeyed.
func number(label string, of func(*Settings) *int, low int, high func(*Config) int, names ...string) setting {
	return setting{names: names, typ: "text-single", label: label,
		get: func(s *Settings, c *Config) string { return strconv.Itoa(min(*of(s), high(c))) },
		set: func(s *Settings, c *Config, v string) *stanza.Error {
			n, err := strconv.Atoi(strings.TrimSpace(v))
			if err != nil {
				return ill(names[0], "must be a number")
			}
			if n < low || n > high(c) {
				return unacceptable(names[0], fmt.Sprintf("must be from %d to %d", low, high(c)))
			}
			*of(s) = n
			return nil
		},
	}
}

// noLimit is the choice of muc#roomconfig_maxusers that stands for as many as the service allows.
const noLimit = "none"

func maxUsers(name string) setting {
	high := func(c *Config) int { return c.MaxOccupants }
	f := number("Most people in the room", func(s *Settings) *int { return &s.MaxUsers }, 1, high, name)
	f.typ = "list-single"
	number := f.set
	f.set = func(s *Settings, c *Config, v string) *stanza.Error {
		if v == noLimit {
			s.MaxUsers = c.MaxOccupants
			return nil
		}
		return number(s, c, v)
	}
	return f
}

// usersChoices are some numbers to choose from, with the one in force. Any other within the bounds is taken as well.
func usersChoices(current string, limit int) []stanza.FormOption {
	var list []int
	for _, n := range []int{10, 20, 50, 100, 200, 500, 1000, 2000, 5000} {
		if n < limit {
			list = append(list, n)
		}
	}
	list = append(list, limit)
	if n, err := strconv.Atoi(current); err == nil {
		list = append(list, n)
	}
	slices.Sort(list)
	var out []stanza.FormOption
	for _, n := range slices.Compact(list) {
		out = append(out, stanza.FormOption{Label: strconv.Itoa(n), Value: strconv.Itoa(n)})
	}
	return append(out, stanza.FormOption{Label: "as many as the service allows", Value: noLimit})
}

// form returns the form with what is in force (§10.2).
func (s *Settings) form(c *Config, title string) *stanza.Form {
	f := &stanza.Form{Kind: "form", Type: nsConfig, Title: title}
	for i := range roomSettings {
		def := &roomSettings[i]
		fd := stanza.FormField{Var: def.names[0], Type: def.typ, Label: def.label, Options: def.choices}
		v := def.get(s, c)
		if v != "" {
			fd.Values = []string{v}
		}
		if def.typ == "list-single" && fd.Options == nil {
			fd.Options = usersChoices(v, c.MaxOccupants)
		}
		f.Fields = append(f.Fields, fd)
	}
	return f
}

// with returns the settings as a submitted form makes them: all of it or nothing. What is not in the form stays, fields of others'
// are passed over, and what was shown and comes back the same is good, whatever the limits are now.
func (s Settings) with(f *stanza.Form, c *Config) (Settings, *stanza.Error) {
	was := s
	for i := range roomSettings {
		def := &roomSettings[i]
		v, ok, err := def.value(f)
		if err != nil {
			return was, err
		}
		if !ok || def.set == nil || v == def.get(&was, c) {
			continue
		}
		if err := def.set(&s, c, v); err != nil {
			return was, err
		}
	}
	if err := s.setPassword(f); err != nil {
		return was, err
	}
	return s, nil
}

// value returns what the form has for a setting. A text without a value is an empty one, as clients send it (XEP-0004 §3.2); other fields
// without one are as if they were not there.
func (def *setting) value(f *stanza.Form) (v string, ok bool, err *stanza.Error) {
	for _, name := range def.names {
		fd := f.Field(name)
		switch {
		case fd == nil:
		case len(fd.Values) > 1:
			return "", false, ill(name, "takes one value")
		case strings.HasPrefix(def.typ, "text-") && len(fd.Values) == 0:
			return "", true, nil
		case len(fd.Values) == 1:
			return fd.Values[0], true, nil
		}
	}
	return "", false, nil
}

// setPassword obeys the two fields of the password. The one without the other says what it can.
func (s *Settings) setPassword(f *stanza.Form) *stanza.Error {
	protect, secret := f.Field(fieldProtected), f.Field(fieldSecret)
	want, given := s.Password, secret != nil
	if given {
		want = f.Value(fieldSecret)
	}
	if protect != nil && len(protect.Values) > 0 {
		on, ok := parseBoolean(protect.Values[0])
		switch {
		case !ok:
			return ill(fieldProtected, "must be 0 or 1")
		case !on:
			s.Password = ""
			return nil
		case strings.TrimSpace(want) == "": // §10.1.3
			return unacceptable(fieldSecret, "is needed")
		}
	}
	if len(want) > maxPassword {
		return unacceptable(fieldSecret, fmt.Sprintf("may have %d bytes, has %d", maxPassword, len(want)))
	}
	if want != "" && strings.TrimSpace(want) == "" {
		return unacceptable(fieldSecret, "must show")
	}
	s.Password = want
	return nil
}
