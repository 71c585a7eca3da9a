package test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

var shellBlock = regexp.MustCompile("(?s)```sh\n(.*?)```")

// TestClientCertificatesPage runs the commands of doc/client-certificates.md as they stand there, but for the port, and then
// uses what they made.
func TestClientCertificatesPage(t *testing.T) {
	for _, tool := range []string{"openssl", "base64", "sh"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("needs " + tool)
		}
	}
	page, err := os.ReadFile(filepath.Join(xtest.Root(), "doc", "client-certificates.md"))
	must(t, err)
	s := xtest.New(t, xtest.Options{})
	s.AddUsers("alice@localhost")
	dir := t.TempDir()
	blocks := shellBlock.FindAllStringSubmatch(string(page), -1)
	says := [][]string{
		nil,
		{"XmppAddr", "alice@localhost", "notAfter="},
		{"<iq ", "type='result'", "id='2'"},
		{"<mechanism>EXTERNAL</mechanism>", "<success ", "<jid>alice@localhost/"},
	}
	if len(blocks) != len(says) {
		t.Fatalf("the page has %d blocks of commands, the test knows %d", len(blocks), len(says))
	}
	for i, b := range blocks {
		cmd := exec.Command("sh", "-e", "-c", strings.ReplaceAll(b[1], "localhost:5222", s.C2S))
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PASSWORD="+xtest.Password)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("block %d: %v\n%s", i+1, err, out)
		}
		for _, want := range says[i] {
			if !strings.Contains(string(out), want) {
				t.Errorf("block %d does not say %s:\n%s", i+1, want, out)
			}
		}
		if i >= 2 && strings.Contains(string(out), "type='error'") {
			t.Errorf("block %d:\n%s", i+1, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "upload.xml")); err == nil {
		t.Error("the file with the password is left")
	}

	// The same files in the hands of a client: uploaded anew, as the PEM that openssl wrote, and used.
	cc := xtest.LoadClientCert(t, filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key"))
	owner := s.Login(t, "alice@localhost/owner")
	list := done(t, owner.IQ("get", "", listCerts))
	if item := list.Find("item"); item == nil || item.Find("name").Text != "Phone" || item.Find("x509cert").Text != cc.Base64() {
		t.Errorf("the list is %s", list)
	}
	done(t, owner.IQ("set", "", namedCert("revoke", "Phone")))
	text, err := os.ReadFile(filepath.Join(dir, "client.crt"))
	must(t, err)
	done(t, owner.IQ("set", "", "<append xmlns='"+nsCerts+"'><name>Again</name><x509cert>"+string(text)+"</x509cert></append>"))
	s.Enter(t, "alice@localhost/phone", cc).Barrier()
}
