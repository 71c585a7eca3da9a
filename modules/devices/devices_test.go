package devices

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/accounts"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

var (
	alice = stanza.MustJID("alice@a.test")
	epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
)

// store is a provider of credentials, whose module it is as well.
type store struct {
	kind string
	list []modules.Credential
	fail error
}

func (p *store) Start(_ context.Context, h *modules.Host) error {
	modules.Provide[modules.Credentials](h, p)
	return nil
}
func (*store) Stop(context.Context) error { return nil }
func (p *store) Kind() string             { return p.kind }
func (p *store) List(_ context.Context, account stanza.JID) ([]modules.Credential, error) {
	if account != alice {
		return nil, p.fail
	}
	return slices.Clone(p.list), p.fail
}
func (p *store) drop(fits func(modules.Credential) bool) bool {
	n := len(p.list)
	p.list = slices.DeleteFunc(p.list, fits)
	return len(p.list) < n
}
func (p *store) Revoke(_ context.Context, account stanza.JID, id string) error {
	if account != alice || !p.drop(func(c modules.Credential) bool { return c.ID == id }) {
		return modules.ErrNoCredential
	}
	return nil
}
func (p *store) RevokeBy(_ context.Context, account stanza.JID, parent string) error {
	p.drop(func(c modules.Credential) bool { return account == alice && c.Parent == parent })
	return nil
}

func (p *store) info() modules.Info {
	return modules.Define(modules.Info{Name: "mod_" + p.kind, Summary: p.kind}, struct{}{}, func(struct{}) modules.Module { return p })
}

// details are those of a login with credentials.
type details []string

func (d details) Credentials() []string { return d }

type rig struct {
	*modtest.Host
	certs, tokens, grants *store
}

func newRig(t testing.TB) *rig {
	r := &rig{certs: &store{kind: "certificate"}, tokens: &store{kind: "fast"}, grants: &store{kind: "token"}}
	r.Host = modtest.New(t, "a.test", accounts.Info, r.certs.info(), r.tokens.info(), r.grants.info(), Info)
	return r
}

// session is a session with what it logged in with; agent is "CLIENT SOFTWARE DEVICE" or less.
func (r *rig) session(resource, mechanism, agent string, refs ...string) *modtest.Session {
	s := r.Session("alice@a.test/" + resource)
	s.Change(func(i *modules.SessionInfo) {
		i.Mechanism, i.Started, i.LastIn = mechanism, epoch.Add(time.Hour), epoch.Add(2*time.Hour)
		words := append(strings.Fields(agent), "", "", "")
		i.Agent = modules.UserAgent{Client: words[0], Software: words[1], Device: words[2]}
		if refs != nil {
			i.Details = details(refs)
		}
	})
	return s
}

// view is the list for comparison: a line for each device.
func view(t testing.TB, s *modtest.Session) (lines []string, ids map[string]string) {
	t.Helper()
	st := s.IQ("get", "", "<list xmlns='"+ns+"'/>")
	if e := st.StanzaError(); e != nil {
		t.Fatal(e)
	}
	ids = map[string]string{}
	for _, c := range st.Payload().Children {
		var how []string
		for _, a := range c.Child("", "auth").Children {
			how = append(how, a.Name+a.Text)
		}
		ua := c.Child("", "user-agent")
		name := ua.ChildText("device")
		lines = append(lines, strings.Join([]string{name, ua.ChildText("software"), c.Attr("type"), c.Attr("connected"),
			strings.Join(how, "+"), c.Child("", "permission").Attr("status"), c.ChildText("first-seen"), c.ChildText("last-seen")}, "|"))
		if c.Attr("id") == "" || ids[name] != "" {
			t.Errorf("id %q of %s", c.Attr("id"), name)
		}
		ids[name] = c.Attr("id")
	}
	return lines, ids
}

// What has expired or was disabled has no access, unless a session still goes on by it.
func TestExpired(t *testing.T) {
	r := newRig(t)
	own := r.session("own", "EXTERNAL", "", "certificate:used")
	over := time.Now().Add(-time.Hour)
	r.certs.list = []modules.Credential{
		{Kind: "certificate", ID: "used", Name: "used", Expires: over},
		{Kind: "certificate", ID: "old", Name: "old", Expires: over},
		{Kind: "certificate", ID: "off", Name: "off", Disabled: true},
	}
	r.tokens.list = []modules.Credential{
		{Kind: "fast", ID: "t1", Client: "c1", Device: "gone", Expires: over},
		{Kind: "fast", ID: "t2", Client: "c2", Device: "here", Expires: time.Now().Add(time.Hour)},
	}
	_, ids := view(t, own)
	if len(ids) != 2 || ids["used"] == "" || ids["here"] == "" {
		t.Errorf("there are %v", ids)
	}
}

func TestList(t *testing.T) {
	r := newRig(t)
	own := r.session("own", "SCRAM-SHA-256-PLUS", "")
	r.session("web", "X-OAUTH", "")
	r.session("old", "PLAIN", "c1 Gajim laptop")
	r.session("phone", "HT-SHA-256-EXPR", "c2 Monal phone", "fast:t2")
	r.session("bot1", "EXTERNAL", "", "certificate:b")
	r.session("bot2", "HT-SHA-256-EXPR", "", "fast:t3", "certificate:b").Hibernate()
	r.session("company", "EXTERNAL", "", "certificate:signed")
	r.certs.list = []modules.Credential{
		{Kind: "certificate", ID: "a", Name: "Never used", Created: epoch},
		{Kind: "certificate", ID: "b", Name: "Bot", Created: epoch, LastUsed: epoch.Add(time.Minute)},
	}
	r.tokens.list = []modules.Credential{
		{Kind: "fast", ID: "t1", Client: "c1", Software: "Gajim", Created: epoch.Add(time.Hour)},
		{Kind: "fast", ID: "t2", Client: "c2", Software: "Monal", Device: "phone", Created: epoch.Add(-time.Hour), LastUsed: epoch},
		{Kind: "fast", ID: "t3", Client: "c3", Created: epoch, Parent: "certificate:b"},
		{Kind: "fast", ID: "t4", Client: "c4", Device: "tablet", Created: epoch, LastUsed: epoch.Add(time.Minute)},
	}
	r.grants.list = []modules.Credential{{Kind: "token", ID: "g", Device: "app", Created: epoch, LastUsed: epoch.Add(time.Second)}}
	got, _ := view(t, own)
	slices.Sort(got)
	const t0, t1, t2 = "2026-01-02T03:04:05Z", "2026-01-02T04:04:05Z", "2026-01-02T05:04:05Z"
	want := []string{
		"Bot||session|true|fast+nameBot|normal|" + t0 + "|" + t2,
		"Never used||access|false|nameNever used|normal|" + t0 + "|",
		"app||session|false|grant|unrestricted|" + t0 + "|2026-01-02T03:04:06Z",
		"company||session|true||normal|" + t1 + "|" + t2,
		"laptop|Gajim|session|true|fast+password|unrestricted|" + t1 + "|" + t2,
		"own||session|true|password|unrestricted|" + t1 + "|" + t2,
		"phone|Monal|session|true|fast+password|unrestricted|2026-01-02T02:04:05Z|" + t2,
		"tablet||session|false|fast+password|unrestricted|" + t0 + "|2026-01-02T03:05:05Z",
		"web||session|true|grant|unrestricted|" + t1 + "|" + t2,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	again, _ := view(t, own)
	slices.Sort(again)
	if !slices.Equal(again, got) {
		t.Error("a second look differs")
	}
}

func TestRevoke(t *testing.T) {
	for _, test := range []struct {
		device   string
		closed   string // resources
		left     string // credentials
		password bool
	}{
		{"Bot", "bot1 bot2", "fast:t1 fast:t4", false},
		{"laptop", "old", "certificate:b fast:t3 fast:t4", true},
		{"tablet", "", "certificate:b fast:t1 fast:t3", true},
		{"web", "web", "certificate:b fast:t1 fast:t3 fast:t4", false},
		{"own", "own", "certificate:b fast:t1 fast:t3 fast:t4", true},
	} {
		t.Run(test.device, func(t *testing.T) {
			r := newRig(t)
			sessions := []*modtest.Session{
				r.session("own", "SCRAM-SHA-256", ""), r.session("web", "X-OAUTH", ""), r.session("old", "PLAIN", "c1 Gajim laptop"),
				r.session("bot1", "EXTERNAL", "", "certificate:b"), r.session("bot2", "HT", "", "fast:t3", "certificate:b"),
				r.session("admin", "SCRAM-SHA-1", ""),
			}
			sessions[4].Hibernate()
			r.certs.list = []modules.Credential{{Kind: "certificate", ID: "b", Name: "Bot", Created: epoch}}
			r.tokens.list = []modules.Credential{
				{Kind: "fast", ID: "t1", Client: "c1"}, {Kind: "fast", ID: "t3", Client: "c3", Parent: "certificate:b"},
				{Kind: "fast", ID: "t4", Client: "c4", Device: "tablet"},
			}
			by := sessions[5]
			_, ids := view(t, by)
			e := by.IQ("set", "", "<revoke xmlns='"+ns+"' id='"+ids[test.device]+"'/>").StanzaError()
			if test.password {
				if e == nil || e.Condition != stanza.ServiceUnavailable || e.Type != stanza.Cancel ||
					!strings.Contains(string(e.App), "password-reset-required") || !strings.Contains(string(e.App), ns) {
					t.Errorf("got %v", e)
				}
			} else if e != nil {
				t.Error(e)
			}
			var closed, left []string
			for _, s := range sessions {
				if c, why := s.Closed(); c {
					closed = append(closed, s.JID().Resource())
					if why == nil || why.Condition != "not-authorized" {
						t.Errorf("%s: %v", s.JID(), why)
					}
				}
			}
			for _, c := range slices.Concat(r.certs.list, r.tokens.list) {
				left = append(left, c.Ref())
			}
			if got := strings.Join(closed, " "); got != test.closed {
				t.Errorf("closed %s, want %s", got, test.closed)
			}
			if got := strings.Join(left, " "); got != test.left {
				t.Errorf("left %s, want %s", got, test.left)
			}
			if !strings.Contains(r.Log(), `msg="device revoked"`) {
				t.Errorf("the log is\n%s", r.Log())
			}
			e = by.IQ("set", "", "<revoke xmlns='"+ns+"' id='"+ids[test.device]+"'/>").StanzaError()
			if e == nil || e.Condition != stanza.ItemNotFound {
				t.Errorf("once more: %v", e)
			}
		})
	}
}

// An id still names its device after that got or lost something since the list was read.
func TestIDsLast(t *testing.T) {
	r := newRig(t)
	by := r.session("by", "PLAIN", "")
	phone := r.session("phone", "PLAIN", "c1 Monal phone")
	_, ids := view(t, by)
	r.tokens.list = []modules.Credential{{Kind: "fast", ID: "t1", Client: "c1", Parent: "certificate:a"}}
	r.certs.list = []modules.Credential{{Kind: "certificate", ID: "a", Name: "A"}}
	_, now := view(t, by)
	if now["phone"] == ids["phone"] {
		t.Error("the test tests nothing")
	}
	by.IQ("set", "", "<revoke xmlns='"+ns+"' id='"+ids["phone"]+"'/>")
	if closed, _ := phone.Closed(); !closed || len(r.tokens.list)+len(r.certs.list) > 0 {
		t.Error("the device was not found")
	}
}

func TestRefused(t *testing.T) {
	r := newRig(t)
	own, bob := r.session("own", "PLAIN", ""), r.Session("bob@a.test/x")
	bot := r.session("bot", "EXTERNAL", "", "certificate:b")
	r.certs.list = []modules.Credential{{Kind: "certificate", ID: "b", Name: "Bot", Restricted: true}}
	_, ids := view(t, own)
	revoke := "<revoke xmlns='" + ns + "' id='" + ids["own"] + "'/>"
	for name, test := range map[string]struct {
		st   *stanza.Stanza
		want stanza.Condition
	}{
		"another's list":     {bob.IQ("get", "alice@a.test", "<list xmlns='"+ns+"'/>"), stanza.Forbidden},
		"another's device":   {bob.IQ("set", "alice@a.test", revoke), stanza.Forbidden},
		"id of another":      {bob.IQ("set", "", revoke), stanza.ItemNotFound},
		"no id":              {own.IQ("set", "", "<revoke xmlns='"+ns+"'/>"), stanza.BadRequest},
		"list to set":        {own.IQ("set", "", "<list xmlns='"+ns+"'/>"), stanza.BadRequest},
		"revoke to get":      {own.IQ("get", "", revoke), stanza.BadRequest},
		"no-cert-management": {bot.IQ("set", "", revoke), stanza.Forbidden},
	} {
		if e := test.st.StanzaError(); e == nil || e.Condition != test.want {
			t.Errorf("%s: %v, want %s", name, e, test.want)
		}
	}
	r.Send("<iq type='get' id='x' from='mallory@evil.test/x' to='alice@a.test'><list xmlns='" + ns + "'/></iq>")
	if got := modtest.XML(r.Sent()); !strings.Contains(got, "service-unavailable") {
		t.Errorf("a stranger got %s", got)
	}
	if closed, _ := own.Closed(); closed {
		t.Error("a refused request ended the session")
	}
	r.tokens.fail = fmt.Errorf("broken")
	if e := own.IQ("get", "", "<list xmlns='"+ns+"'/>").StanzaError(); e == nil || e.Condition != stanza.InternalServerError {
		t.Errorf("got %v", e)
	}
}

func TestService(t *testing.T) {
	ctx := context.Background()
	r := newRig(t)
	s := r.session("phone", "PLAIN", "")
	svc, ok := modules.ServiceOf[*Service](r.Loader, "a.test")
	if !ok {
		t.Fatal("no service")
	}
	list, err := svc.List(ctx, alice)
	if err != nil || len(list) != 1 || list[0].Name != "phone" || !list[0].Connected() {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, err := svc.Revoke(ctx, alice, "nothing", "test"); err != ErrNoDevice {
		t.Error(err)
	}
	d, err := svc.Revoke(ctx, alice, list[0].ID, "test")
	if err != nil || !slices.Contains(d.Auth, "password") {
		t.Errorf("%+v, %v", d, err)
	}
	if closed, _ := s.Closed(); !closed {
		t.Error("the session goes on")
	}
}
