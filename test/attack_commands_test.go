package test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

const nsCommands = "http://jabber.org/protocol/commands"

// adminVerbs are what admins can do from their clients, each with the form that would do it to the victim. The list of what
// there is comes from the server: a new command of admins without a row here fails.
var adminVerbs = map[string]string{
	"http://jabber.org/protocol/admin#add-user":                 field("accountjid", "eve@localhost") + field("password", "x") + field("password-verify", "x"),
	"http://jabber.org/protocol/admin#delete-user":              field("accountjids", "bob@localhost"),
	"http://jabber.org/protocol/admin#disable-user":             field("accountjids", "bob@localhost"),
	"http://jabber.org/protocol/admin#reenable-user":            field("accountjids", "bob@localhost"),
	"http://jabber.org/protocol/admin#end-user-session":         field("accountjids", "bob@localhost"),
	"http://jabber.org/protocol/admin#change-user-password":     field("accountjid", "bob@localhost") + field("password", "x"),
	"http://jabber.org/protocol/admin#user-stats":               field("accountjid", "bob@localhost"),
	"http://jabber.org/protocol/admin#get-registered-users-num": "",
	"http://jabber.org/protocol/admin#get-online-users-num":     "",
	"http://jabber.org/protocol/admin#get-online-users-list":    field("max_items", "25"),
	"http://jabber.org/protocol/admin#announce":                 field("announcement", xtest.Marker),
	"urn:xmpp:invite#create-account":                            field("username", ""),
}

func field(name, value string) string {
	return "<field var='" + name + "'><value>" + value + "</value></field>"
}

// TestAttackCommands is Z28: each command of admins, tried by everybody who is none.
func TestAttackCommands(t *testing.T) {
	g := xtest.NewTarget(t, xtest.Options{Hosts: []string{"localhost", "b.test"}, General: `admins = ["root@localhost", "fired@localhost", "alice@b.test"]`})
	g.AddUsers("root@localhost", "fired@localhost")
	out, errs, code := g.Server.Run("", "modules", "-commands", "-json")
	var hosts []struct {
		Host     string
		Commands []struct {
			Node  string
			Admin bool
		}
	}
	if err := json.Unmarshal([]byte(out), &hosts); err != nil || code != 0 || len(hosts) != 2 {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	fired := g.Login(t, "fired@localhost/x")
	step := func(c *xtest.Client, node, id, form string) *xtest.Node {
		attr := ""
		if id != "" {
			attr = " sessionid='" + id + "'"
		}
		return c.IQ("set", "localhost", "<command xmlns='"+nsCommands+"' node='"+node+"'"+attr+">"+form+"</command>")
	}
	// Who is an admin still begins; then he is none any more.
	begun := map[string]string{}
	for _, k := range hosts[0].Commands {
		if k.Admin && adminVerbs[k.Node] != "" {
			begun[k.Node] = done(t, step(fired, k.Node, "", "")).Find("command").Attr("sessionid")
		}
	}
	config, err := os.ReadFile(g.Config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(g.Config, []byte(strings.Replace(string(config), `"fired@localhost", `, "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := g.Server.Run("", "reload"); code != 0 {
		t.Fatalf("%s%s", out, errs)
	}
	n := 0
	for _, k := range hosts[0].Commands {
		if !k.Admin {
			continue
		}
		n++
		fields, ok := adminVerbs[k.Node]
		if !ok {
			t.Errorf("%s is a command of admins without a row in the table of this test", k.Node)
			continue
		}
		form := "<x xmlns='jabber:x:data' type='submit'>" + fields + "</x>"
		refused := func(t *testing.T, n *xtest.Node) {
			t.Helper()
			if n.Attr("type") != "error" || n.Find("forbidden") == nil {
				t.Errorf("got %s", n)
			}
		}
		g.Run(t, "Z28 "+k.Node, func(t *testing.T) {
			// Nobody who has not logged in.
			c := g.Attacker(t, "tls")
			c.Send("<iq type='set' id='a' to='localhost'><command xmlns='%s' node='%s'/></iq>", nsCommands, k.Node)
			c.WantStreamError("not-authorized")
			// A user, at each step there could be.
			c = g.Attacker(t, "ok")
			refused(t, step(c, k.Node, "", ""))
			refused(t, step(c, k.Node, "", form))
			refused(t, step(c, k.Node, begun[k.Node], form))
			refused(t, step(c, k.Node, begun[k.Node], "<x xmlns='jabber:x:data' type='cancel'/>"))
			// An admin of another host.
			other := g.Login(t, "alice@b.test/x")
			refused(t, step(other, k.Node, "", form))
			other.Quit()
			// Who was one.
			refused(t, step(fired, k.Node, "", form))
			refused(t, step(fired, k.Node, begun[k.Node], form))
			c.Quit()
			g.Untouched(t)
		})
	}
	if n != len(adminVerbs) {
		t.Errorf("%d commands of admins, %d rows", n, len(adminVerbs))
	}
	list, _, _ := g.Server.Run("", "user", "list", "localhost")
	if strings.Contains(list, "eve@") || !strings.Contains(list, "bob@localhost") || strings.Contains(list, "disabled") {
		t.Errorf("the accounts are now\n%s", list)
	}
	// And an admin can: the table would not notice if nobody could.
	root := g.Login(t, "root@localhost/x")
	node := "http://jabber.org/protocol/admin#announce"
	id := done(t, step(root, node, "", "")).Find("command").Attr("sessionid")
	if n := done(t, step(root, node, id, "<x xmlns='jabber:x:data' type='submit'>"+field("announcement", "closing time")+"</x>")); n.Find("command").Attr("status") != "completed" {
		t.Errorf("an admin got %s", n)
	}
	g.Victim.Want("<message from='localhost'><body>closing time</body></message>")
	g.Bystander.Want("<message from='localhost'><body>closing time</body></message>")
}
