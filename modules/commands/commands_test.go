package commands

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
)

const (
	alice   = "alice@a.test"
	root    = "root@a.test"
	general = "[general]\nhosts = [\"a.test\"]\nadmins = [\"root@a.test\"]\n"
)

// wizard is a command of two forms.
var wizard = modules.Define(modules.Info{Name: "mod_wizard", Summary: "a command for the tests"}, struct{}{}, func(struct{}) modules.Module { return &wizardModule{} })

type wizardModule struct{ done []string }

func (w *wizardModule) Start(_ context.Context, h *modules.Host) error {
	form := func(title, name string) func(context.Context, *modules.CommandCall) (*stanza.Form, error) {
		return func(_ context.Context, c *modules.CommandCall) (*stanza.Form, error) {
			return &stanza.Form{Title: title + c.Value("first"), Fields: []stanza.FormField{{Var: name, Type: "text-single", Label: "The " + name, Required: true}}}, nil
		}
	}
	h.Command(modules.Command{
		Node: "wizard", Name: "Wizard",
		Allow: func(_ context.Context, j stanza.JID) bool { return j.Local() != "mallory" },
		Stages: []modules.CommandStage{
			{Form: form("one", "first"), Check: func(_ context.Context, _ *modules.CommandCall, in *stanza.Form) error {
				if in.Value("first") == "bad" {
					return errors.New("this is bad")
				}
				return nil
			}},
			{Form: form("two ", "second")},
		},
		Do: func(_ context.Context, c *modules.CommandCall) (*modules.CommandResult, error) {
			if c.Value("second") == "conflict" {
				return nil, stanza.Err(stanza.Conflict, "no")
			}
			w.done = append(w.done, c.Value("first")+c.Value("second"))
			return &modules.CommandResult{Note: "done", Error: c.Value("second") == "failed"}, nil
		},
	})
	modules.Provide(h, w)
	return nil
}

func (*wizardModule) Stop(context.Context) error { return nil }

func newHost(t *testing.T, toml string) *modtest.Host {
	t.Helper()
	return modtest.NewConfig(t, "a.test", general+toml, roster.Info, disco.Info, Info, wizard)
}

// step takes one step of a command; fields are pairs.
func step(s *modtest.Session, node, id, action string, fields ...string) *stanza.Stanza {
	var x stanza.XML
	x.Start("command", "xmlns", ns, "node", node, "sessionid", id, "action", action)
	if fields != nil {
		x.Start("x", "xmlns", stanza.NSData, "type", "submit")
		for i := 0; i+1 < len(fields); i += 2 {
			x.Start("field", "var", fields[i]).Leaf("value", fields[i+1]).End()
		}
		x.End()
	}
	return s.IQ("set", "a.test", string(x.Bytes()))
}

// sessionID returns the session of an answer that must be of that status.
func sessionID(t *testing.T, st *stanza.Stanza, status string) string {
	t.Helper()
	if st.Type != stanza.TypeResult || st.Payload().Attr("status") != status {
		t.Fatalf("want %s, got %s", status, st.AppendTo(nil))
	}
	return st.Payload().Attr("sessionid")
}

// failed tells the conditions of an error, general and of XEP-0050.
func failed(st *stanza.Stanza) string {
	e := st.StanzaError()
	if e == nil {
		return ""
	}
	s := string(e.Condition)
	if app, err := stanza.ParseElement(e.App); err == nil && app.NS == ns {
		s += " " + app.Name
	}
	return s
}

// XEP-0050 §3.5: forward, back, and to the end.
func TestStages(t *testing.T) {
	h := newHost(t, "")
	a := h.Session(alice + "/one")
	st := step(a, "wizard", "", "execute")
	id := sessionID(t, st, "executing")
	if got := string(st.AppendTo(nil)); !strings.Contains(got, "<actions execute='next'><next/></actions>") || !strings.Contains(got, "<title>one</title>") {
		t.Errorf("the first form: %s", got)
	}
	st = step(a, "wizard", id, "", "first", "x")
	if got := string(st.AppendTo(nil)); !strings.Contains(got, "<actions execute='complete'><prev/><complete/></actions>") || !strings.Contains(got, "<title>two x</title>") {
		t.Errorf("the second form: %s", got)
	}
	st = step(a, "wizard", id, "prev")
	if got := string(st.AppendTo(nil)); !strings.Contains(got, "<value>x</value>") {
		t.Errorf("back at the first form: %s", got)
	}
	st = step(a, "wizard", id, "next", "first", "bad")
	if got := string(st.AppendTo(nil)); !strings.Contains(got, "<note type='error'>this is bad</note>") || !strings.Contains(got, "var='first'") {
		t.Errorf("a bad value: %s", got)
	}
	sessionID(t, step(a, "wizard", id, "next", "first", "y"), "executing")
	st = step(a, "wizard", id, "complete", "second", "z")
	sessionID(t, st, "completed")
	if got := string(st.AppendTo(nil)); !strings.Contains(got, "<note type='info'>done</note>") {
		t.Errorf("the end: %s", got)
	}
	w, _ := modules.ServiceOf[*wizardModule](h.Loader, "a.test")
	if len(w.done) != 1 || w.done[0] != "yz" {
		t.Errorf("done %q", w.done)
	}
	if got := failed(step(a, "wizard", id, "complete", "second", "z")); got != "bad-request bad-sessionid" {
		t.Errorf("once more: %s", got)
	}
	// A field of a later form counts only there, where it is checked.
	id = sessionID(t, step(a, "wizard", "", ""), "executing")
	step(a, "wizard", id, "", "first", "x", "second", "early")
	step(a, "wizard", id, "", "second", "late")
	if w.done[len(w.done)-1] != "xlate" {
		t.Errorf("done %q", w.done)
	}
	// What fails says so.
	id = sessionID(t, step(a, "wizard", "", ""), "executing")
	step(a, "wizard", id, "", "first", "x")
	if got := string(step(a, "wizard", id, "", "second", "failed").AppendTo(nil)); !strings.Contains(got, "<note type='error'>done</note>") {
		t.Errorf("failed: %s", got)
	}
	id = sessionID(t, step(a, "wizard", "", ""), "executing")
	step(a, "wizard", id, "", "first", "x")
	if got := failed(step(a, "wizard", id, "", "second", "conflict")); got != "conflict" {
		t.Errorf("conflict: %s", got)
	}
	if m := instance(t, h); len(m.open) != 0 {
		t.Errorf("%d left", len(m.open))
	}
}

func instance(t *testing.T, h *modtest.Host) *module {
	t.Helper()
	n, ok := modules.ServiceOf[disco.ServerNodes](h.Loader, h.Name)
	if !ok {
		t.Fatal("no service")
	}
	return n.(*module)
}

func TestBadSteps(t *testing.T) {
	h := newHost(t, "")
	a, b, m := h.Session(alice+"/one"), h.Session(alice+"/two"), h.Session("mallory@a.test/m")
	open := func() string { return sessionID(t, step(a, "wizard", "", "execute"), "executing") }
	for _, tt := range []struct {
		name string
		do   func() *stanza.Stanza
		want string
	}{
		{"no such node", func() *stanza.Stanza { return step(a, "nothing", "", "execute") }, "item-not-found"},
		{"no node", func() *stanza.Stanza { return a.IQ("set", "a.test", "<command xmlns='"+ns+"'/>") }, "item-not-found"},
		{"a get", func() *stanza.Stanza { return a.IQ("get", "a.test", "<command xmlns='"+ns+"' node='wizard'/>") }, "bad-request"},
		{"no such action", func() *stanza.Stanza { return step(a, "wizard", open(), "sing") }, "bad-request malformed-action"},
		{"next of nothing", func() *stanza.Stanza { return step(a, "wizard", "", "next", "first", "x") }, "bad-request bad-sessionid"},
		{"unknown session", func() *stanza.Stanza { return step(a, "wizard", "1", "", "first", "x") }, "bad-request bad-sessionid"},
		{"another's session", func() *stanza.Stanza { return step(b, "wizard", open(), "", "first", "x") }, "bad-request bad-sessionid"},
		{"session of another command", func() *stanza.Stanza {
			r := h.Session(root + "/" + fmt.Sprint(time.Now().UnixNano()))
			return step(r, nsAdmin+"#announce", sessionID(t, step(r, "wizard", "", "execute"), "executing"), "", "announcement", "x")
		}, "bad-request bad-sessionid"},
		{"before the first", func() *stanza.Stanza { return step(a, "wizard", open(), "prev") }, "bad-request bad-action"},
		{"complete too early", func() *stanza.Stanza { return step(a, "wizard", open(), "complete", "first", "x") }, "bad-request bad-action"},
		{"no form", func() *stanza.Stanza { return step(a, "wizard", open(), "") }, "bad-request bad-payload"},
		{"a form that is none to submit", func() *stanza.Stanza {
			return a.IQ("set", "a.test", "<command xmlns='"+ns+"' node='wizard' sessionid='"+open()+"'><x xmlns='jabber:x:data' type='cancel'><field var='first'><value>x</value></field></x></command>")
		}, "bad-request bad-payload"},
		{"a form without what is needed", func() *stanza.Stanza { return step(a, "wizard", open(), "", "other", "x") }, "bad-request bad-payload"},
		{"not allowed", func() *stanza.Stanza { return step(m, "wizard", "", "execute") }, "forbidden"},
	} {
		if got := failed(tt.do()); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	id := open()
	step(a, "wizard", id, "", "other", "x") // what was wrong can be mended
	sessionID(t, step(a, "wizard", id, "", "first", "x"), "executing")
	if got := sessionID(t, step(a, "wizard", id, "cancel"), "canceled"); got != id {
		t.Errorf("cancelled %s", got)
	}
	h.Send("<iq type='set' id='q' from='romeo@b.test/x' to='a.test'><command xmlns='" + ns + "' node='wizard'/></iq>")
	if got := h.Sent(); len(got) != 1 || failed(got[0]) != "forbidden" {
		t.Errorf("another server's user: %s", modtest.XML(got))
	}
}

// Executions that wait are bounded in time and number.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, "[modules.mod_commands]\nmax_open = 5\nmax_of_user = 3\ntimeout = \"1m\"\n")
		a := h.Session(alice + "/one")
		var ids []string
		begin := func(s *modtest.Session) {
			time.Sleep(time.Second)
			ids = append(ids, sessionID(t, step(s, "wizard", "", "execute"), "executing"))
		}
		for range 4 {
			begin(a)
		}
		if got := failed(step(a, "wizard", ids[0], "", "first", "x")); got != "bad-request bad-sessionid" {
			t.Errorf("the oldest: %s", got)
		}
		for i := range 3 {
			begin(h.Session(fmt.Sprintf("u%d@a.test/r", i)))
		}
		if m := instance(t, h); len(m.open) != 5 {
			t.Errorf("%d wait", len(m.open))
		}
		sessionID(t, step(a, "wizard", ids[3], "", "first", "x"), "executing")
		time.Sleep(61 * time.Second)
		if got := failed(step(a, "wizard", ids[3], "", "second", "x")); got != "not-allowed session-expired" {
			t.Errorf("too late: %s", got)
		}
		begin(a)
		if m := instance(t, h); len(m.open) != 1 {
			t.Errorf("%d wait after their time", len(m.open))
		}
	})
}

func TestDisco(t *testing.T) {
	h := newHost(t, "")
	a, r, m := h.Session(alice+"/one"), h.Session(root+"/r"), h.Session("mallory@a.test/m")
	list := func(s *modtest.Session) string {
		return string(s.IQ("get", "a.test", "<query xmlns='"+stanza.NSDiscoIt+"' node='"+ns+"'/>").AppendTo(nil))
	}
	if got := list(a); strings.Count(got, "<item ") != 1 || !strings.Contains(got, "<item jid='a.test' node='wizard' name='Wizard'/>") {
		t.Errorf("a user sees %s", got)
	}
	if got := list(r); strings.Count(got, "<item ") != 12 {
		t.Errorf("an admin sees %s", got)
	}
	if got := list(m); strings.Count(got, "<item ") != 0 {
		t.Errorf("who may nothing sees %s", got)
	}
	info := func(s *modtest.Session, node string) string {
		return string(s.IQ("get", "a.test", "<query xmlns='"+stanza.NSDiscoInf+"' node='"+node+"'/>").AppendTo(nil))
	}
	for node, want := range map[string]string{ns: "type='command-list'", "wizard": "type='command-node' name='Wizard'", nsAdmin + "#announce": "<forbidden", "nothing": "<item-not-found"} {
		if got := info(a, node); !strings.Contains(got, want) {
			t.Errorf("%s: %s", node, got)
		}
	}
}

// verbs are the commands of admins, with what is to be submitted for each. A new one needs a row here.
var verbs = map[string][]string{
	"add-user":                 {"accountjid", "new@a.test", "password", "secret", "password-verify", "secret"},
	"delete-user":              {"accountjids", "victim@a.test"},
	"disable-user":             {"accountjids", "victim@a.test"},
	"reenable-user":            {"accountjids", "victim@a.test"},
	"end-user-session":         {"accountjids", "victim@a.test"},
	"change-user-password":     {"accountjid", "victim@a.test", "password", "secret"},
	"user-stats":               {"accountjid", "victim@a.test"},
	"get-registered-users-num": nil,
	"get-online-users-num":     nil,
	"get-online-users-list":    {"max_items", "25"},
	"announce":                 {"announcement", "hello"},
}

// Z28: nobody but an admin of the host does what admins do. The table is made of what is registered.
func TestAdminsOnly(t *testing.T) {
	n := 0
	for _, c := range newHost(t, "").Table().Commands {
		if !c.Admin {
			continue
		}
		n++
		verb := strings.TrimPrefix(c.Node, nsAdmin+"#")
		fields, ok := verbs[verb]
		if !ok {
			t.Errorf("%s has no row", c.Node)
			continue
		}
		t.Run(verb, func(t *testing.T) {
			h := newHost(t, "")
			h.User("victim")
			a, r := h.Session(alice+"/one"), h.Session(root+"/r")
			for _, action := range []string{"", "execute", "next", "prev", "complete", "cancel"} {
				for _, id := range []string{"", "1"} {
					if got := failed(step(a, c.Node, id, action, fields...)); got != "forbidden" {
						t.Errorf("a user, %q %q: %s", action, id, got)
					}
				}
			}
			for _, from := range []string{"root@b.test/r", root + "/r", "romeo@b.test", "b.test"} {
				// What another server says, also that it is our admin.
				h.Send("<iq type='set' id='q' from='" + from + "' to='a.test'><command xmlns='" + ns + "' node='" + c.Node + "'/></iq>")
			}
			for _, st := range append(h.Sent(), r.Sent()...) {
				if failed(st) != "forbidden" {
					t.Errorf("another server got %s", st.AppendTo(nil))
				}
			}
			// Who is an admin no more is stopped in the middle.
			id := ""
			if fields != nil {
				id = sessionID(t, step(r, c.Node, "", "execute"), "executing")
			}
			if err := h.Reload("[general]\nhosts = [\"a.test\"]\n"); err != nil {
				t.Fatal(err)
			}
			if got := failed(step(r, c.Node, id, "", fields...)); got != "forbidden" {
				t.Errorf("revoked: %s", got)
			}
			if acc, err := h.Users.Get(context.Background(), "victim"); err != nil || acc.Disabled {
				t.Errorf("the victim: %+v, %v", acc, err)
			}
			if err := h.Reload(general); err != nil {
				t.Fatal(err)
			}
			if got := failed(step(r, c.Node, id, "", fields...)); id != "" && got != "bad-request bad-sessionid" {
				t.Errorf("the execution goes on: %s", got)
			}
		})
	}
	if n != len(verbs) {
		t.Errorf("%d commands, %d rows", n, len(verbs))
	}
}

// admin executes a command of admins and returns the answer.
func admin(t *testing.T, s *modtest.Session, verb string, fields ...string) *stanza.Stanza {
	t.Helper()
	st := step(s, nsAdmin+"#"+verb, "", "execute")
	if fields == nil {
		return st
	}
	return step(s, nsAdmin+"#"+verb, sessionID(t, st, "executing"), "complete", fields...)
}

// XEP-0133 §4.
func TestAdmin(t *testing.T) {
	ctx := context.Background()
	h := newHost(t, "")
	r := h.Session(root + "/r")
	done := func(verb string, fields ...string) string {
		t.Helper()
		st := admin(t, r, verb, fields...)
		sessionID(t, st, "completed")
		return string(st.AppendTo(nil))
	}
	if got := string(admin(t, r, "add-user", "accountjid", "bob@a.test", "password", "one", "password-verify", "two").AppendTo(nil)); !strings.Contains(got, "executing") || !strings.Contains(got, "differ") || strings.Contains(got, "one<") {
		t.Errorf("different passwords: %s", got)
	}
	done("add-user", "accountjid", "Bob@a.test", "password", "pass", "password-verify", "pass")
	if h.Users.Check(ctx, "bob", "pass") != nil {
		t.Error("not added")
	}
	if got := failed(admin(t, r, "add-user", "accountjid", "bob@a.test", "password", "x", "password-verify", "x")); got != "conflict" {
		t.Errorf("twice: %s", got)
	}
	if got := failed(admin(t, r, "add-user", "accountjid", "bob@b.test", "password", "x", "password-verify", "x")); got != "not-acceptable" {
		t.Errorf("elsewhere: %s", got)
	}
	b, b2 := h.Session("bob@a.test/one"), h.Session("bob@a.test/two")
	done("change-user-password", "accountjid", "bob@a.test", "password", "other")
	if h.Users.Check(ctx, "bob", "other") != nil {
		t.Error("password not changed")
	}
	if got := done("user-stats", "accountjid", "bob@a.test"); !strings.Contains(got, "<value>127.0.0.1:") || !strings.Contains(got, "<value>two</value>") {
		t.Errorf("statistics: %s", got)
	}
	if got := done("get-registered-users-num"); !strings.Contains(got, "<value>2</value>") {
		t.Errorf("users: %s", got)
	}
	if got := done("get-online-users-num"); !strings.Contains(got, "<value>2</value>") {
		t.Errorf("online: %s", got)
	}
	if got := done("get-online-users-list", "max_items", "25"); !strings.Contains(got, "<value>bob@a.test</value>") || strings.Count(got, "<value>bob@") != 1 {
		t.Errorf("online: %s", got)
	}
	b.Available(0, "")
	b.Sent()
	if got := done("announce", "announcement", "down & up"); !strings.Contains(got, "1 sessions") {
		t.Errorf("announced: %s", got)
	}
	if got := modtest.XML(b.Sent()); !strings.Contains(got, "<body>down &amp; up</body>") || !strings.Contains(got, "from='a.test'") {
		t.Errorf("the announcement: %s", got)
	}
	done("end-user-session", "accountjids", "bob@a.test/one")
	if one, _ := b.Closed(); !one {
		t.Error("the session goes on")
	}
	if two, _ := b2.Closed(); two {
		t.Error("the other session has ended")
	}
	done("end-user-session", "accountjids", "bob@a.test")
	if two, _ := b2.Closed(); !two {
		t.Error("the other session goes on")
	}
	done("disable-user", "accountjids", "bob@a.test")
	if !errors.Is(h.Users.Check(ctx, "bob", "other"), auth.ErrDisabled) {
		t.Error("not disabled")
	}
	done("reenable-user", "accountjids", "bob@a.test")
	if h.Users.Check(ctx, "bob", "other") != nil {
		t.Error("not enabled")
	}
	if got := failed(admin(t, r, "delete-user", "accountjids", root)); got != "not-allowed" {
		t.Errorf("himself: %s", got)
	}
	if got := done("delete-user", "accountjids", "nobody@a.test"); !strings.Contains(got, "<note type='error'>done to 0; nobody@a.test: there is no such account</note>") {
		t.Errorf("nobody: %s", got)
	}
	done("delete-user", "accountjids", "bob@a.test")
	if ok, _ := h.Users.Exists(ctx, "bob"); ok {
		t.Error("not deleted")
	}
	if log := h.Log(); !strings.Contains(log, "change=delete by=root@a.test") || strings.Contains(log, "other") {
		t.Errorf("the log: %s", log)
	}
}

func FuzzCommand(f *testing.F) {
	f.Add("<command xmlns='" + ns + "' node='wizard' action='execute'/>")
	f.Add("<command xmlns='" + ns + "' node='" + nsAdmin + "#announce' action='complete'><x xmlns='jabber:x:data' type='submit'><field var='announcement'><value>x</value></field></x></command>")
	f.Fuzz(func(t *testing.T, payload string) {
		if _, err := stanza.ParseElement([]byte(payload)); err != nil {
			t.Skip()
		}
		h := newHost(t, "")
		h.Session(alice+"/one").IQ("set", "a.test", payload)
		h.Session(root+"/one").IQ("set", "a.test", payload)
	})
}
