package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/xmppd/xmppd/test/xtest"
)

// everything makes the account of that name have one of all that the server stores of people. Each text of it has the word.
func everything(t *testing.T, s *xtest.Server, name, word string) {
	t.Helper()
	bare := name + "@localhost"
	s.AddUsers(bare)
	c := newPhone(s, name, word).password(t) // leaves a FAST token
	do := func(payload string) *xtest.Node {
		t.Helper()
		return done(t, c.IQ("set", "", payload))
	}
	do("<query xmlns='jabber:iq:roster'><item jid='" + word + "@elsewhere.example' name='" + word + "'><group>" + word + "</group></item></query>")
	do("<query xmlns='jabber:iq:roster'><item jid='gone-" + word + "@elsewhere.example'/></query>")
	do("<query xmlns='jabber:iq:roster'><item jid='gone-" + word + "@elsewhere.example' subscription='remove'/></query>")
	do("<block xmlns='urn:xmpp:blocking'><item jid='" + word + ".example'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'><text>" + word + "</text></report></item></block>")
	do("<enable xmlns='urn:xmpp:push:0' jid='push-" + word + ".example' node='" + word + "'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='secret'><value>secret-" + word + "</value></field></x></enable>")
	do(appendCert(word, xtest.NewClientCert(t, xtest.Login{Names: []string{bare}}), ""))
	done(t, c.IQ("set", "localhost", "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite'/>"))
	do("<vCard xmlns='vcard-temp'><FN>" + word + "</FN></vCard>")
	do("<query xmlns='jabber:iq:private'><x xmlns='urn:example:" + word + "'>" + word + " <b/> mixed</x></query>")
	do("<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:example:" + word + "'><item id='" + word + "'><x xmlns='urn:example:x'>a " + word + " <b/> c</x></item></publish></pubsub>")
	do("<prefs xmlns='urn:xmpp:mam:2' default='always'><always><jid>" + word + ".example</jid></always><never/></prefs>")
	askTokens(c)
	c.Send("<presence/>")
	c.Barrier()
	c.Send("<presence to='localhost'/><presence type='unavailable'><status>%s</status></presence>", word)
	c.Barrier()
	c.Quit()
	// What others send while it is away.
	s.AddUsers("visitor@localhost")
	f := s.Online(t, "visitor@localhost/x")
	for i := range 3 {
		f.Send("<message to='%s' type='chat' id='m%d'><body>%s %d</body><x xmlns='urn:example:x'>a <b/> c</x></message>", bare, i, word, i)
	}
	f.Send("<presence to='%s' type='subscribe'><status>%s</status></presence>", bare, word)
	f.Barrier()
	f.Quit()
}

// keysOfAll is what X-OAUTH needs, so that everything has tokens too.
const keysOfAll = "[modules.mod_keystore]\nkeys = [{name = \"token_secret\", type = \"ram\"}]\n[modules.mod_auth_token]\n"

// walk looks at each key and value of a database, under the path of its buckets.
func walk(t *testing.T, file string, visit func(path string, key, value []byte)) {
	t.Helper()
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var in func(path string, b *bolt.Bucket) error
	in = func(path string, b *bolt.Bucket) error {
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return in(path+"/"+printable(k), b.Bucket(k))
			}
			visit(path, k, v)
			return nil
		})
	}
	if err := db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error { return in(printable(name), b) })
	}); err != nil {
		t.Fatal(err)
	}
}

var unprintable = regexp.MustCompile(`[^ -~]+`)

func printable(b []byte) string { return unprintable.ReplaceAllString(string(b), ".") }

// remains are the places where something of a deleted account may be, and what doc/operating.md says of it.
var remains = map[string]string{
	"mod_register":   "the name, so that nobody steps into its place (keep_names)",
	"mod_auth_token": "the generation of tokens, so that no old one fits a new account",
	"mod_roster":     "the version of the list, so that none comes twice",
}

// TestDeletedAccount: deleting an account deletes every trace of it. What remains is listed, and is what the docs name.
func TestDeletedAccount(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys + keysOfAll})
	const name, word = "zacharias", "quicksilver"
	everything(t, s, name, word)
	db := filepath.Join(s.Dir, "data", "xmppd.db")
	find := func() map[string]int {
		places := map[string]int{}
		walk(t, db, func(path string, k, v []byte) {
			for _, what := range []string{name, word} {
				if bytes.Contains(k, []byte(what)) || bytes.Contains(v, []byte(what)) {
					places[path]++
				}
			}
		})
		return places
	}
	s.Stop()
	before := find()
	for _, module := range []string{"auth", "mod_roster", "mod_last", "mod_offline", "mod_blocking", "mod_push", "mod_invites", "mod_client_certs", "mod_sasl2_fast", "mod_auth_token",
		"mod_mam", "mod_pep", "mod_vcard", "mod_private"} {
		if !slices.ContainsFunc(keysOf(before), func(p string) bool { return strings.Contains(p, module) }) {
			t.Errorf("the test has nothing of %s: %q", module, keysOf(before))
		}
	}
	s.Start(xtest.Options{})
	for _, jid := range []string{name + "@localhost", "visitor@localhost"} { // a visitor's own list has whom he visited
		if out, errs, code := s.Run("", "user", "delete", jid); code != 0 {
			t.Fatalf("%s%s", out, errs)
		}
	}
	s.Stop()
	for path, n := range find() {
		allowed := false
		for module := range remains {
			allowed = allowed || strings.Contains(path, module)
		}
		if !allowed {
			t.Errorf("%d records remain in %s", n, path)
		}
	}
	walk(t, db, func(path string, k, v []byte) {
		if bytes.Contains(k, []byte(word)) || bytes.Contains(v, []byte(word)) {
			t.Errorf("a text remains in %s: %s = %.80s", path, printable(k), printable(v))
		}
	})
	doc, err := os.ReadFile(filepath.Join(xtest.Root(), "doc", "operating.md"))
	if err != nil {
		t.Fatal(err)
	}
	for module := range remains {
		if !strings.Contains(string(doc), module) {
			t.Errorf("doc/operating.md does not say what remains of %s", module)
		}
	}
	s.Start(xtest.Options{})
}

func keysOf(m map[string]int) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

var archiveIDs = regexp.MustCompile(`<stanza-id [^>]*></stanza-id>| id="[\w-]{22}"`)

// lines writes an exported file one element a line, in order, so that two can be compared. What has to do with the moment of
// an import is left out.
func lines(t *testing.T, file string) []string {
	t.Helper()
	n, err := xtest.Parse(file)
	if err != nil {
		t.Fatalf("%v: %s", err, file)
	}
	var out []string
	for _, e := range n.Child("host").Child("user").Children {
		text := archiveIDs.ReplaceAllString(e.String(), "") // an archive gives its own
		switch e.Name.Local {
		case "query":
			var items []string
			for _, it := range e.Children {
				items = append(items, it.String())
			}
			sort.Strings(items)
			text = strings.Join(items, "\n")
		case "account":
			text = fmt.Sprint("account ", e.Attr("created"), e.Attr("last-login"), e.Attr("disabled"))
		}
		out = append(out, text)
	}
	sort.Strings(out)
	return out
}

// TestExportImport: D14. What was exported is there again after an import, and nothing else is taken in.
func TestExportImport(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys + keysOfAll})
	const name, word = "ada", "marmalade"
	jid := name + "@localhost"
	everything(t, s, name, word)
	export := func(t *testing.T, args ...string) string {
		t.Helper()
		out, errs, code := s.Run("", append([]string{"export"}, append(args, jid)...)...)
		if code != 0 {
			t.Fatalf("export: %s%s", out, errs)
		}
		return out
	}
	imported := func(t *testing.T, file string) (string, string, int) {
		t.Helper()
		return s.Run(file, "import", "-")
	}
	user := func(t *testing.T, what string) {
		t.Helper()
		stdin := ""
		if what == "add" {
			stdin = xtest.Password + "\n"
		}
		if out, errs, code := s.Run(stdin, "user", what, jid); code != 0 {
			t.Fatalf("%s%s", out, errs)
		}
	}

	t.Run("D14 all is in it", func(t *testing.T) {
		full := export(t, "-with-secrets")
		for _, want := range []string{
			"jabber:iq:roster", "<group>" + word, "type='subscribe'", "offline-messages", word + " 2", "urn:xmpp:blocking", "urn:xmppd:portable:reports", "urn:xmppd:portable:push",
			"secret-" + word, "urn:xmppd:portable:invites", "urn:xmppd:portable:last", "urn:xmppd:portable:credentials", "kind='fast'", "kind='certificate'", "kind='token'",
			"scram-credentials", "created=", "<vCard", "jabber:iq:private", "urn:example:" + word, "pubsub#access_model", "urn:xmpp:pie:0#mam", "<prefs",
		} {
			if !strings.Contains(full, want) {
				t.Errorf("no %s in\n%s", want, full)
			}
		}
		for _, once := range []string{"<query xmlns='jabber:iq:roster'", "<offline-messages", "<blocklist", "<last "} {
			if n := strings.Count(full, once); n != 1 {
				t.Errorf("%s is there %d times", once, n)
			}
		}
		some := export(t)
		for _, secret := range []string{"scram-credentials", "stored-key", "secret-" + word, xtest.Password} {
			if strings.Contains(some, secret) {
				t.Errorf("without -with-secrets it has %s", secret)
			}
		}
	})

	t.Run("D14 import equals", func(t *testing.T) {
		before := export(t, "-with-secrets")
		if _, errs, code := imported(t, before); code != 1 || !strings.Contains(errs, "there is an account of that name") {
			t.Errorf("over a living account: exit %d, %s", code, errs)
		}
		user(t, "delete")
		out, errs, code := imported(t, before)
		if code != 0 || !strings.Contains(out, jid+": imported") || strings.Contains(out, "no password") {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		for _, line := range lines(t, before) {
			// What is of this server or its admins alone is not taken back.
			if strings.Contains(line, "portable:credentials") || strings.Contains(line, "portable:invites") || strings.Contains(line, "portable:reports") {
				continue
			}
			if !slices.Contains(lines(t, export(t, "-with-secrets")), line) {
				t.Errorf("missing afterwards:\n%s", line)
			}
		}
		c := s.Login(t, jid+"/again") // with the same password
		c.Send("<presence/>")
		var messages []string
		for _, n := range append(c.Barrier(), c.Barrier()...) {
			if n.Name.Local == "message" {
				messages = append(messages, n.Find("body").Text)
			}
		}
		if want := []string{word + " 0", word + " 1", word + " 2"}; !slices.Equal(messages, want) {
			t.Errorf("messages are %q", messages)
		}
		c.Quit()
	})

	t.Run("D14 without a server", func(t *testing.T) {
		s.Stop()
		defer s.Start(xtest.Options{})
		before := export(t, "-with-secrets")
		user(t, "delete")
		if out, errs, code := imported(t, before); code != 0 {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		if after := export(t, "-with-secrets"); len(lines(t, after)) < len(lines(t, before))-3 {
			t.Errorf("there is less:\n%s\n%s", before, after)
		}
	})

	t.Run("D14 no secrets, no password", func(t *testing.T) {
		file := export(t)
		user(t, "delete")
		out, _, code := imported(t, file)
		if code != 0 || !strings.Contains(out, "no password: xmppd user passwd") {
			t.Errorf("exit %d, %s", code, out)
		}
		refusedWith(t, s.Secure(t, "localhost").TryPlain("\x00"+name+"\x00"+xtest.Password), "not-authorized")
	})

	t.Run("D14 what is refused", func(t *testing.T) {
		begin := "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='mallory'>"
		end := "</user></host></server-data>"
		bomb := "<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]>"
		for what, file := range map[string]string{
			"document type":    bomb + begin + "<vCard xmlns='vcard-temp'>&b;</vCard>" + end,
			"outer entity":     "<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>" + begin + "<q xmlns='urn:q'>&a;</q>" + end,
			"entity":           begin + "<q xmlns='urn:q'>&a;</q>" + end,
			"another host":     strings.Replace(begin, "localhost", "elsewhere.example", 1) + end,
			"a path as a name": strings.Replace(begin, "mallory", "../../etc/passwd", 1) + end,
			"no file of ours":  "PK\x03\x04 zip",
			"half a file":      begin + "<blocklist xmlns='urn:xmpp:blocking'><item jid='a.example'/></blocklist>",
			"bad credentials":  begin + "<scram-credentials xmlns='urn:xmpp:pie:0#scram' mechanism='SCRAM-SHA-1'><iter-count>1</iter-count><salt>AAAA</salt><server-key>AAAA</server-key><stored-key>AAAA</stored-key></scram-credentials>" + end,
			"a bad entry":      begin + "<query xmlns='jabber:iq:roster'><item jid='good@a.example'/><item jid='@'/></query>" + end,
			"deep":             begin + strings.Repeat("<q xmlns='urn:q'>", 200) + strings.Repeat("</q>", 200) + end,
		} {
			out, errs, code := imported(t, file)
			if code != 1 || errs == "" {
				t.Errorf("%s: exit %d, %s%s", what, code, out, errs)
			}
			if strings.Contains(out+errs, "root:") || strings.Contains(out+errs, "aaaaaaaaaaaaaaaaaaaa") {
				t.Errorf("%s: expanded", what)
			}
			if list, _, _ := s.Run("", "user", "list", "mallory@localhost"); strings.Contains(list, "mallory@") {
				t.Errorf("%s: the account was made", what)
			}
		}
		s.Stop()
		defer s.Start(xtest.Options{})
		walk(t, filepath.Join(s.Dir, "data", "xmppd.db"), func(path string, key, _ []byte) {
			if strings.Contains(path, "mod_register") && strings.Contains(string(key), "mallory") {
				t.Error("the name of an account that never was is kept from others")
			}
		})
	})

	t.Run("D14 another server's file", func(t *testing.T) {
		file := "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'>\n<host jid='localhost'>\n<user name='juliet' password='s3crEt'>\n" +
			"<query xmlns='jabber:iq:roster'><item jid='romeo@montague.net' name='Romeo' subscription='both'><group>Friends</group></item></query>\n" +
			"<offline-messages><message xmlns='jabber:client' from='romeo@montague.net' to='juliet@localhost'><body>Neither</body></message></offline-messages>\n" +
			"<something xmlns='urn:of:another:server'/></user>\n</host>\n</server-data>\n"
		out, errs, code := imported(t, file)
		if code != 0 || !strings.Contains(out, "skipped: \"something (urn:of:another:server)\"") && !strings.Contains(out, "skipped: something (urn:of:another:server)") {
			t.Fatalf("exit %d\n%s%s", code, out, errs)
		}
		c := s.Secure(t, "localhost")
		if n := c.TryPlain("\x00juliet\x00s3crEt"); n.Name.Local != "success" {
			t.Fatalf("login: %s", n)
		}
		var report struct {
			Accounts []struct{ JID, Error string }
		}
		js, _, code := s.Run(file, "import", "-json", "-")
		if err := json.Unmarshal([]byte(js), &report); err != nil || code != 1 || len(report.Accounts) != 1 || report.Accounts[0].Error == "" {
			t.Errorf("as JSON: exit %d, %v\n%s", code, err, js)
		}
	})

	t.Run("D14 nobody comes in half-way", func(t *testing.T) {
		conn, err := net.Dial("unix", filepath.Join(s.Dir, "data", "xmppd.sock"))
		must(t, err)
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(xtest.Wait))
		begin := "<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='tybalt' password='s3crEt'><query xmlns='jabber:iq:roster'><item jid='a@b.example'/></query>"
		end := "</user></host></server-data>"
		fmt.Fprintf(conn, "POST /v1/import HTTP/1.1\r\nHost: xmppd\r\nContent-Length: %d\r\n\r\n%s", len(begin+end), begin)
		for deadline := time.Now().Add(xtest.Wait); ; {
			list, _, _ := s.Run("", "user", "list", "tybalt@localhost")
			if strings.Contains(list, "tybalt@") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the account does not come")
			}
		}
		refusedWith(t, s.Secure(t, "localhost").TryPlain("\x00tybalt\x00s3crEt"), "account-disabled")
		fmt.Fprint(conn, end)
		answer := make([]byte, 4096)
		if n, err := conn.Read(answer); err != nil || !strings.Contains(string(answer[:n]), "200 OK") {
			t.Fatalf("%s %v", answer[:n], err)
		}
		if n := s.Secure(t, "localhost").TryPlain("\x00tybalt\x00s3crEt"); n.Name.Local != "success" {
			t.Errorf("login: %s", n)
		}
	})

	t.Run("D14 files", func(t *testing.T) {
		file := filepath.Join(s.Dir, "ada.xml")
		if out, errs, code := s.Run("", "export", "-o", file, jid); code != 0 {
			t.Fatalf("%s%s", out, errs)
		}
		if fi, err := os.Stat(file); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%v, %v", fi, err)
		}
		if _, _, code := s.Run("", "export", "-o", file, jid); code != 1 {
			t.Error("an existing file is written over")
		}
		missing := filepath.Join(s.Dir, "none.xml")
		if _, errs, code := s.Run("", "export", "-o", missing, "nobody@localhost"); code != 1 || !strings.Contains(errs, "there is no account") {
			t.Errorf("nobody: exit %d, %s", code, errs)
		}
		if _, err := os.Stat(missing); err == nil {
			t.Error("a failed export leaves a file")
		}
	})
}
