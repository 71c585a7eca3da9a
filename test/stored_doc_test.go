package test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestStoredDoc: doc/operating.md says of each kind of what is stored of people where it lies, how long, who can read it and how it
// goes, once.
func TestStoredDoc(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(xtest.Root(), "doc", "operating.md"))
	must(t, err)
	_, doc, ok := strings.Cut(string(b), "\n## What is stored where\n")
	if !ok {
		t.Fatal("there is no such section")
	}
	doc, _, _ = strings.Cut(doc, "\n## ")
	rows := map[string]bool{}
	for line := range strings.Lines(doc) {
		if !strings.HasPrefix(line, "| ") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 {
			t.Errorf("%d cells: %s", len(cells), line)
			continue
		}
		for _, c := range cells {
			if strings.TrimSpace(c) == "" {
				t.Errorf("an empty cell: %s", line)
			}
		}
		what := strings.TrimSpace(cells[0])
		if rows[what] {
			t.Errorf("twice: %s", what)
		}
		rows[what] = true
	}
	for _, kind := range []string{"accounts: ", "contacts and requests", "vCards", "messages for who is offline", "whom a user blocks", "data that clients store for themselves", "archives: ",
		"what users publish", "push services", "invitations", "reports of abuse", "names of deleted accounts", "certificates that users gave", "of FAST tokens", "of an account's tokens"} {
		n := 0
		for what := range rows {
			if strings.HasPrefix(what, kind) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d rows of %q", n, kind)
		}
	}
}
