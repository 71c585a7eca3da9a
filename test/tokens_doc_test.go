package test

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

var docBlock = regexp.MustCompile("(?s)```(\\w+)\n(.*?)```")

// TestTokensPage starts a server with the sections of doc/tokens.md, signs tokens with the programs there, and logs in with
// them.
func TestTokensPage(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(xtest.Root(), "doc", "tokens.md"))
	must(t, err)
	blocks := map[string][]string{}
	for _, m := range docBlock.FindAllStringSubmatch(string(page), -1) {
		blocks[m[1]] = append(blocks[m[1]], m[2])
	}
	if len(blocks["toml"]) != 2 || len(blocks["python"]) != 2 || len(blocks["go"]) != 1 {
		t.Fatalf("the page has other blocks than the test knows: %d toml, %d python, %d go", len(blocks["toml"]), len(blocks["python"]), len(blocks["go"]))
	}
	// Both sections on one server.
	keystore, options, _ := strings.Cut(blocks["toml"][1], "[modules.mod_auth_token]\n")
	o := xtest.Options{Hosts: []string{"example.com"}, Limits: `profile = "off"`, Extra: blocks["toml"][0] + options + "provision_creates_account = true\n" + keystore, NoStart: true}
	s := xtest.New(t, o)
	key := priv(t, s, "provision_psk", append(randomKey(), '\n'))
	s.Start(o)
	s.AddUsers("juliet@example.com")

	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		put(t, path, []byte(text), 0o600)
		return path
	}
	run := func(t *testing.T, args ...string) string {
		t.Helper()
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Skip("needs " + args[0])
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "OTP_SEED="+otpSeed, "TOKEN_SECRET="+tokenSecret)
		var errs strings.Builder
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, errs.String())
		}
		return strings.TrimSuffix(string(out), "\n")
	}
	signers := map[string][]string{
		"Python": {"python3", file("token.py", blocks["python"][0])},
		"Go":     {"go", "run", file("token.go", blocks["go"][0])},
	}
	for name, command := range signers {
		t.Run(name, func(t *testing.T) {
			seen := map[string]bool{}
			for range 3 {
				token := run(t, append(command, "juliet@example.com")...)
				if seen[token[8:40]] {
					t.Error("the same nonce again")
				}
				seen[token[8:40]] = true
				enter(t, s, "juliet@example.com/x", "X-TOKEN", "\x00juliet\x00"+token)
				refuse(t, s, "example.com", "X-TOKEN", "\x00juliet\x00"+token, "not-authorized")
			}
			refuse(t, s, "example.com", "X-TOKEN", "\x00juliet\x00"+run(t, append(command, "romeo@example.com")...), "not-authorized")
		})
	}
	t.Run("provision", func(t *testing.T) {
		command := []string{"python3", file("provision.py", blocks["python"][1])}
		b, err := base64.StdEncoding.DecodeString(run(t, append(command, "nurse@example.com", "Nurse & <co>", key)...))
		must(t, err)
		enter(t, s, "nurse@example.com/x", "X-OAUTH", string(b))
	})
}
