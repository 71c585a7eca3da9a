package config

import (
	"fmt"
	"net"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/stanza"
)

// decodeDocument lays the file over the defaults.
func decodeDocument(root *Node, doc *document, errs *Errors) {
	(&decoder{errs: errs, core: true}).structure(root, reflect.ValueOf(doc).Elem())
}

// checkTransport refuses what the system does not have.
func checkTransport(transport, system string, errs *Errors) {
	if transport == "epoll" && system != "linux" {
		errs.Add("c2s.transport", "only Linux has epoll, and this is %s: use goroutine", system)
	}
}

// checkCore checks what the types do not say.
func (c *Config) checkCore(root *Node, errs *Errors) {
	errs.at = root
	defer func() { errs.at = nil }()

	c.checkGeneral(root, errs)
	c.checkTLS(root, errs)
	c.checkListeners(errs)

	for i, m := range c.C2S.SASLMechanisms {
		oneOf(errs, fmt.Sprintf("c2s.sasl_mechanisms[%d]", i), m, mechanisms)
	}
	noneTwice(errs, "c2s.sasl_mechanisms", c.C2S.SASLMechanisms)
	oneOf(errs, "c2s.resource_conflict", c.C2S.ResourceConflict, []string{"kick_old", "rename", "refuse"})
	oneOf(errs, "c2s.transport", c.C2S.Transport, []string{"goroutine", "epoll"})
	checkTransport(c.C2S.Transport, runtime.GOOS, errs)

	if len(c.Auth.SCRAMHashes) == 0 {
		errs.Add("auth.scram_hashes", "must name at least one hash: without any nobody can log in with a password")
	}
	for i, h := range c.Auth.SCRAMHashes {
		oneOf(errs, fmt.Sprintf("auth.scram_hashes[%d]", i), h, []string{"SHA-1", "SHA-256", "SHA-512"})
	}
	noneTwice(errs, "auth.scram_hashes", c.Auth.SCRAMHashes)
	// RFC 5802 §5.1: at least 4096. Beyond ten million a login takes seconds of a processor.
	if n := c.Auth.SCRAMIterations; n < 4096 {
		errs.Add("auth.scram_iterations", "must be at least 4096 (10000 is recommended), is %d", n)
	} else if n > 10_000_000 {
		errs.Add("auth.scram_iterations", "must be at most 10000000, is %d", n)
	}

	if c.Storage.Driver == "postgres" {
		errs.Add("storage.driver", `"postgres" is not available in this version: use "bolt"`)
	} else {
		oneOf(errs, "storage.driver", c.Storage.Driver, []string{"bolt", "memory"})
	}
	c.Limits.check(errs)
}

// mechanisms are the login mechanisms that the server has or that one of its modules brings.
var mechanisms = []string{
	"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS",
	"PLAIN", "EXTERNAL", "X-OAUTH", "X-TOKEN",
}

func (c *Config) checkGeneral(root *Node, errs *Errors) {
	hosts := c.General.Hosts
	if n, _ := root.lookup("general.hosts"); n.Value != nil && len(hosts) == 0 {
		errs.Add("general.hosts", "must name at least one host")
	}
	c.General.Hosts = make([]string, 0, len(hosts))
	written := make(map[string]string, len(hosts))
	for i, h := range hosts {
		key := fmt.Sprintf("general.hosts[%d]", i)
		d, ok := domain(h)
		if !ok {
			errs.Add(key, "%q is not a domain name", h)
			continue
		}
		if first, there := written[d]; there {
			errs.Add(key, "%q is the same host as %q before it", h, first)
			continue
		}
		written[d] = h
		c.General.Hosts = append(c.General.Hosts, d)
	}
	for i, a := range c.General.Admins {
		key := fmt.Sprintf("general.admins[%d]", i)
		switch j, err := stanza.ParseJID(a); {
		case err != nil || j.Local() == "" || !j.IsBare():
			errs.Add(key, "%q is not an account, which looks like you@example.com", a)
		case !slices.Contains(c.General.Hosts, j.Domain()):
			errs.Add(key, "%q is on none of this server's hosts", a)
		}
	}
	if c.General.DataDir == "" {
		errs.Add("general.data_dir", "must name a directory")
	}
	oneOf(errs, "general.log_level", c.General.LogLevel, []string{"debug", "info", "warn", "error"})
}

func (c *Config) checkTLS(root *Node, errs *Errors) {
	oneOf(errs, "tls.profile", c.TLS.Profile, []string{"modern", "intermediate", "old"})
	for i, curve := range c.TLS.Curves {
		oneOf(errs, fmt.Sprintf("tls.curves[%d]", i), curve, []string{"X25519MLKEM768", "X25519", "P-256", "P-384", "P-521"})
	}
	noneTwice(errs, "tls.curves", c.TLS.Curves)
	c.mustBeFile(errs, "tls.trusted_ca_file", c.TLS.TrustedCAFile)
	c.mustBeFile(errs, "tls.dhparam", c.TLS.DHParam)

	dir := c.TLS.Certificates
	n, written := root.lookup("tls.certificates")
	if dir == "" {
		errs.Add("tls.certificates", "must name a directory")
		return
	}
	info, err := os.Stat(c.Resolve(dir))
	switch {
	case err == nil && !info.IsDir():
		errs.Add("tls.certificates", "%s is a file: the option names the directory of all certificates", c.Resolve(dir))
	case err == nil || !written || dir == Default().TLS.Certificates:
		// The default need not exist: who has no certificate has self_signed.
	case c.TLS.SelfSigned:
		c.warn(n, "%s: %s; hosts get self-signed certificates (tls.self_signed)", c.Resolve(dir), pathError(err))
	default:
		errs.Add("tls.certificates", "%s: %s", c.Resolve(dir), pathError(err))
	}
}

// mustBeFile checks that a file that an option names is there.
func (c *Config) mustBeFile(errs *Errors, key, path string) {
	if path == "" {
		return
	}
	full := c.Resolve(path)
	info, err := os.Stat(full)
	switch {
	case err != nil:
		errs.Add(key, "%s: %s", full, pathError(err))
	case info.IsDir():
		errs.Add(key, "%s is a directory, not a file", full)
	}
}

// warn notes what is no mistake but should be looked at.
func (c *Config) warn(n *Node, format string, args ...any) {
	m := Mistake{Line: n.Line, Path: n.Path, Text: fmt.Sprintf(format, args...)}
	if !slices.Contains(c.Warnings, m) {
		c.Warnings = append(c.Warnings, m)
	}
}

// checkListeners checks all addresses, and that none is there twice.
func (c *Config) checkListeners(errs *Errors) {
	seen := map[string]string{}
	for _, l := range c.listeners() {
		for i, addr := range l.addrs {
			key := fmt.Sprintf("%s[%d]", l.key, i)
			if text := badAddress(addr); text != "" {
				errs.Add(key, "%s", text)
				continue
			}
			if _, port, _ := net.SplitHostPort(addr); port == "0" {
				continue // a free one each time
			}
			if other, there := seen[addr]; there {
				errs.Add(key, "%q is taken by %s", addr, other)
				continue
			}
			seen[addr] = key
		}
	}
}

type listenOption struct {
	key   string
	addrs []string
}

func (c *Config) listeners() []listenOption {
	return []listenOption{
		{"c2s.listen", c.C2S.Listen}, {"c2s.listen_tls", c.C2S.ListenTLS},
		{"s2s.listen", c.S2S.Listen}, {"s2s.listen_tls", c.S2S.ListenTLS},
	}
}

// badAddress says what is wrong with a listener's address, if anything.
func badAddress(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Sprintf(`%q is not an address with a port, such as "[::]:5222" or "127.0.0.1:0"`, addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return fmt.Sprintf("%q is not a port: a number from 0 (any free one) to 65535", port)
	}
	bare, _, _ := strings.Cut(host, "%") // an IPv6 zone
	if host == "" || net.ParseIP(bare) != nil {
		return ""
	}
	if _, ok := domain(host); !ok {
		return fmt.Sprintf("%q is neither an IP address nor a name", host)
	}
	return ""
}

// domain prepares a domain name as addresses have it (RFC 7622 §3.2).
func domain(s string) (string, bool) {
	j, err := stanza.NewJID("", s, "")
	if err != nil {
		return "", false
	}
	return j.Domain(), true
}

// oneOf checks a word against those that an option may have.
func oneOf(errs *Errors, key, word string, words []string) {
	if slices.Contains(words, word) {
		return
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	last := len(quoted) - 1
	text := "must be " + strings.Join(quoted[:last], ", ") + " or " + quoted[last] + fmt.Sprintf(", is %q", word)
	if best, distance := nearest(word, words); len(words) > 4 && near(word, distance) {
		text = fmt.Sprintf("%q does not exist; the nearest that does is %q", word, best)
	}
	errs.Add(key, "%s", text)
}

// noneTwice checks that a list has no word twice.
func noneTwice(errs *Errors, key string, words []string) {
	for i, w := range words {
		if first := slices.Index(words, w); first < i {
			errs.Add(fmt.Sprintf("%s[%d]", key, i), "%q is in the list already", w)
		}
	}
}
