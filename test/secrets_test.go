package test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/test/xtest"
)

// secrets collects what must not be in the log, by what it is.
type secrets map[string]string

// new makes a secret and notes it.
func (s secrets) new(what string) string {
	v := "S-" + rand.Text()
	s[what] = v
	return v
}

// TestSecrets does all that there is to do, with the log at debug, and then looks for each secret of it in the log (K32),
// and for passwords on the disk.
func TestSecrets(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, LogLevel: "debug",
		Extra: "[modules.mod_register]\nallow_registration = true\nregistrations_per_hour = 100\n"})
	all := secrets{}
	onDisk := secrets{}
	password := func(what string) string {
		p := all.new(what)
		onDisk[what] = p
		return p
	}
	ann, bob := password("password given to user add"), password("password given to user import")
	s.AddUser("ann@localhost", ann)
	if _, errs, code := s.Run("bob@localhost "+bob+"\nbob@localhost "+password("refused password of user import")+"\nx "+password("password of no JID")+"\n", "user", "import"); code != 1 {
		t.Fatalf("exit %d, %s", code, errs)
	}
	s.Run(password("password of a host that is not there")+"\n", "user", "add", "ann@elsewhere.test")
	s.Run(password("password with a control character")+"\x01\n", "user", "passwd", "ann@localhost")
	ann = password("password given to user passwd")
	if _, errs, code := s.Run(ann+"\n", "user", "passwd", "ann@localhost"); code != 0 {
		t.Fatal(errs)
	}

	// Logins, right, wrong and broken.
	for _, mechanism := range allMechanisms[1:] {
		for what, p := range map[string]string{"right": ann, "wrong": password("wrong password with " + mechanism)} {
			c := s.Secure(t, "localhost")
			a := &xtest.Scram{Mechanism: mechanism, User: "ann", Password: p}
			if n := c.TryScram(a); (n.Name.Local == "success") != (what == "right") {
				t.Fatalf("%s, %s: %s", mechanism, what, n)
			}
			all[what+" proof with "+mechanism] = a.ClientProof
			all[what+" salt with "+mechanism] = a.Salt
			c.Conn.Close()
		}
	}
	plain := func(message string) {
		c := s.Secure(t, "localhost")
		all["PLAIN message "+message] = xtest.B64(message)
		c.TryPlain(message)
		c.Conn.Close()
	}
	plain("\x00ann\x00" + ann)
	plain("\x00ann\x00" + password("wrong password"))
	plain("\x00nobody\x00" + password("password of nobody"))
	plain("bob@localhost\x00ann\x00" + ann)
	plain("\x00ann\x00" + password("password that is cut off")[:12] + "\xff")
	plain("\x00" + password("password where the name should be"))
	c := s.Secure(t, "localhost")
	c.Send("<auth %s mechanism='PLAIN'>%s!</auth>", nsSASLP, xtest.B64("\x00ann\x00"+password("password in bad base64")))
	c.Must()
	c.Send("<auth %s mechanism='PLAIN'><password>%s</password></auth>", nsSASLP, password("password as an element"))
	c.Must()
	c.TrySend("<iq type='get' id='1'><query xmlns='jabber:iq:auth'><password>" + password("password of old times") + "</password></query></iq>")
	c.Conn.Close()
	clear := s.Dial(t) // before TLS
	clear.Open()
	clear.Send("<auth %s mechanism='PLAIN'>%s</auth>", nsSASLP, xtest.B64("\x00ann\x00"+password("password in clear")))
	clear.Must()
	clear.Conn.Close()

	// Registration and password change.
	ibr := func(c *xtest.Client, user, p string) {
		c.Send("<iq type='set' id='r' to='localhost'><query xmlns='jabber:iq:register'><username>%s</username><password>%s</password></query></iq>", user, p)
		for n := c.Must(); n.Attr("id") != "r"; n = c.Must() {
		}
	}
	c = s.Secure(t, "localhost")
	ibr(c, "cleo", password("password at registration"))
	ibr(c, "ann", password("password of a registration that is refused"))
	ibr(c, "a nn", password("password of a bad name"))
	c.Conn.Close()
	c = s.Secure(t, "localhost")
	c.Auth(sasl.Plain, "ann", ann)
	c.Bind("x")
	ibr(c, "ann", password("password with a control character in it")+"&#x85;")
	ibr(c, "bob", password("password for somebody else"))
	ibr(c, "ann", password("password changed by its owner"))

	// What people say, delivered, kept, bounced and refused.
	b := s.Secure(t, "localhost")
	b.Auth(sasl.Plain, "bob", bob)
	b.Bind("x")
	for _, to := range []string{"bob@localhost/x", "bob@localhost", "nobody@localhost", "cleo@localhost", "far@elsewhere.test", "@@", "localhost"} {
		body := all.new("body to " + to)
		c.Send("<message to='%s' type='chat'><subject>%s</subject><body>%s</body></message>", to, body, body)
		c.Send("<iq to='%s' type='set' id='q'><query xmlns='urn:x'>%s</query></iq>", to, body)
		c.Barrier()
	}
	c.Send("<presence><status>%s</status></presence>", all.new("status"))
	c.Send("<iq type='set' id='ros'><query xmlns='jabber:iq:roster'><item jid='bob@localhost' name='%s'><group>%s</group></item></query></iq>", all.new("name in the roster"), all.new("group in the roster"))
	c.Send("<presence type='subscribe' to='bob@localhost'><status>%s</status></presence>", all.new("status of a request"))
	c.Barrier()
	c.Send("<enable %s resume='true'/>", nsSM)
	id := c.Want("<enabled %s/>", nsSM).Attr("id")
	all["SM-ID"] = id
	c.Conn.Close()
	b.Send("<message to='ann@localhost/x' type='chat'><body>%s</body></message>", all.new("body to a session that sleeps"))
	b.Barrier()
	// Streams that end with an error, in the middle of something.
	for _, broken := range []string{"<message><body>BODY</b></message>", "<message to='bob@localhost' BODY='1' BODY='2'/>", "<BODY/>", "<message xmlns='BODY'/>", "<!-- BODY -->", "<message from='BODY@localhost' to='bob@localhost'/>"} {
		x := s.Secure(t, "localhost")
		x.Auth(sasl.Plain, "bob", bob)
		x.Bind("")
		x.TrySend(strings.ReplaceAll(broken, "BODY", all.new("body in "+broken)))
		for {
			if _, err := x.Next(); err != nil {
				break
			}
		}
		x.Conn.Close()
	}
	b.Conn.Close()
	key, err := os.ReadFile(filepath.Join(s.Dir, "data", "server.key"))
	must(t, err)
	all["keyring, raw"], all["keyring in hex"], all["keyring in base64"] = string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key)
	must(t, s.Stop())
	s.Start(xtest.Options{})
	must(t, s.Stop())

	log := s.Log()
	t.Run("K32 log", func(t *testing.T) {
		if strings.Count(log, "\n") < 20 || !strings.Contains(log, "ann@localhost") {
			t.Fatalf("this log cannot have much in it:\n%s", log)
		}
		for what, secret := range all {
			for form, text := range map[string]string{"": secret, " in base64": xtest.B64(secret)[:len(secret)], " in hex": hex.EncodeToString([]byte(secret))} {
				if i := strings.Index(log, text); i >= 0 {
					line := log[strings.LastIndexByte(log[:i], '\n')+1:]
					line, _, _ = strings.Cut(line, "\n")
					t.Errorf("%s%s is in the log: %s", what, form, line)
				}
			}
		}
	})
	t.Run("no password on the disk", func(t *testing.T) {
		for _, path := range inside(t, filepath.Join(s.Dir, "data")) {
			data, err := os.ReadFile(path)
			if err != nil {
				continue // a directory
			}
			for what, p := range onDisk {
				if bytes.Contains(data, []byte(p)) {
					t.Errorf("%s is in %s", what, path)
				}
			}
		}
	})
}
