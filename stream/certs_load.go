package stream

import (
	"bytes"
	"crypto/rsa"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	minRSABits  = 2048
	maxCertFile = 1 << 20
)

// certPair is a certificate with its key, read and checked.
type certPair struct {
	crt, key  string // files
	cert      *tls.Certificate
	generated bool
}

// sameAs returns old if it is the same certificate, so that what hangs on its identity stays.
func (p *certPair) sameAs(old *certPair) *certPair {
	if old != nil && old.crt == p.crt && bytes.Equal(old.cert.Certificate[0], p.cert.Certificate[0]) &&
		len(old.cert.Certificate) == len(p.cert.Certificate) {
		return old
	}
	return p
}

// certLoader reads the certificates of one set.
type certLoader struct {
	opt      *CertOptions
	now      time.Time
	problems []CertProblem
	watch    []string
	states   []string
	tried    map[string]*certPair // by crt file, for those that may cover more than one host; nil: not usable
}

// look notes the state of a file before it is read.
func (l *certLoader) look(path string) {
	l.watch = append(l.watch, path)
	l.states = append(l.states, oneState(path))
}

func (l *certLoader) state() string { return strings.Join(l.states, "") }

// find returns the certificate of a host: one of its name, else one that covers it, else one made for it.
func (l *certLoader) find(host string) (*certPair, []CertProblem) {
	ascii := asciiHost(host)
	if ascii == "" || strings.ContainsAny(host, `/\`) || strings.HasPrefix(host, ".") {
		return nil, []CertProblem{{Host: host, Text: "not a host name"}}
	}
	if l.opt.Dir != "" {
		if p, problems, found := l.named(host, ascii); found {
			return p, problems
		}
		if p := l.covering(ascii); p != nil {
			return l.check(p, host, ascii)
		}
	}
	if l.opt.SelfSigned && l.opt.MadeDir != "" {
		return l.own(host, ascii)
	}
	where := l.opt.Dir
	if where == "" {
		where = "the directory of [tls] certificates"
	}
	return nil, []CertProblem{{Host: host, none: true, Text: fmt.Sprintf(
		"there is none: put %s.crt and %s.key, or %s/fullchain.pem and %s/privkey.pem, into %s (or set self_signed = true in [tls] for private use)",
		host, host, host, host, where)}}
}

// named returns the certificate in the directory that has the host's name; found is false where there is none.
func (l *certLoader) named(host, ascii string) (p *certPair, problems []CertProblem, found bool) {
	names := []string{host}
	if ascii != host {
		names = append(names, ascii)
	}
	for _, name := range names {
		at := filepath.Join(l.opt.Dir, name)
		for _, f := range [][2]string{
			{at + ".crt", at + ".key"},
			{filepath.Join(at, "fullchain.pem"), filepath.Join(at, "privkey.pem")},
		} {
			l.look(f[0])
			l.look(f[1])
			if !exists(f[0]) && !exists(f[1]) {
				continue
			}
			p, problem := l.load(host, f[0], f[1])
			if problem != nil {
				return nil, []CertProblem{*problem}, true
			}
			p, problems = l.check(p, host, ascii)
			return p, problems, true
		}
	}
	return nil, nil, false
}

// covering returns the pair in the directory that covers the host, the one that lasts longest, or nil.
func (l *certLoader) covering(ascii string) *certPair {
	crts, _ := filepath.Glob(filepath.Join(escapeGlob(l.opt.Dir), "*.crt"))
	chains, _ := filepath.Glob(filepath.Join(escapeGlob(l.opt.Dir), "*", "fullchain.pem"))
	var best *certPair
	for _, crt := range append(crts, chains...) {
		p, known := l.tried[crt]
		if !known {
			key := strings.TrimSuffix(crt, ".crt") + ".key"
			if filepath.Base(crt) == "fullchain.pem" {
				key = filepath.Join(filepath.Dir(crt), "privkey.pem")
			}
			l.look(crt)
			l.look(key)
			p, _ = l.load(ascii, crt, key)
			l.tried[crt] = p
		}
		if p != nil && p.cert.Leaf.VerifyHostname(ascii) == nil &&
			(best == nil || p.cert.Leaf.NotAfter.After(best.cert.Leaf.NotAfter)) {
			best = p
		}
	}
	return best
}

// escapeGlob makes filepath.Glob take a directory's name literally.
func escapeGlob(dir string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// load reads a pair and checks what does not depend on the host.
func (l *certLoader) load(host, crt, key string) (*certPair, *CertProblem) {
	bad := func(file, format string, args ...any) (*certPair, *CertProblem) {
		return nil, &CertProblem{Host: host, File: file, Text: fmt.Sprintf(format, args...)}
	}
	crtPEM, err := readBounded(crt)
	if err != nil {
		return bad(crt, "%s", fileError(err))
	}
	if problem := keyAccess(host, key); problem != nil {
		return nil, problem
	}
	keyPEM, err := readBounded(key)
	if err != nil {
		return bad(key, "%s", fileError(err))
	}
	if block, _ := pem.Decode(keyPEM); block != nil &&
		(block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "") {
		return bad(key, "the private key has a passphrase: openssl pkey -in %s -out NEWFILE takes it off", key)
	}
	cert, err := tls.X509KeyPair(crtPEM, keyPEM)
	if err != nil {
		if strings.Contains(err.Error(), "does not match") {
			return bad(key, "the private key does not belong to the certificate in %s", crt)
		}
		return bad(crt, "%s", strings.TrimPrefix(err.Error(), "tls: "))
	}
	if k, ok := cert.Leaf.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return bad(crt, "the RSA key has %d bits, must have %d or more", k.N.BitLen(), minRSABits)
	}
	return &certPair{crt: crt, key: key, cert: &cert}, nil
}

// keyAccess checks who can read and change a private key.
func keyAccess(host, key string) *CertProblem {
	problem := &CertProblem{Host: host, File: key}
	fi, err := os.Stat(key)
	if err != nil {
		problem.Text = fileError(err)
		return problem
	}
	// Others must not read or write it; a group such as Debian's ssl-cert may read.
	if fi.Mode().Perm()&0o027 != 0 {
		problem.Text = fmt.Sprintf("the private key has mode %04o, others could read or change it: chmod 600 %s", fi.Mode().Perm(), key)
		return problem
	}
	if uid, ok := owner(fi); ok && uid != 0 && uid != os.Geteuid() {
		problem.Text = fmt.Sprintf("the private key belongs to user %d, must be root's or the server's own: chown %d %s", uid, os.Geteuid(), key)
		return problem
	}
	return nil
}

// check is for what depends on the host and the time.
func (l *certLoader) check(p *certPair, host, ascii string) (*certPair, []CertProblem) {
	leaf := p.cert.Leaf
	problem := CertProblem{Host: host, File: p.crt}
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case leaf.VerifyHostname(ascii) != nil:
		problem.Text = "it does not cover the host, only " + strings.Join(leaf.DNSNames, ", ")
		if len(leaf.DNSNames) == 0 {
			problem.Text = "it names no host at all (subjectAltName)"
		}
	case l.now.After(leaf.NotAfter):
		problem.Text = "it expired on " + day(leaf.NotAfter) + ": renew it"
	case l.now.Before(leaf.NotBefore):
		problem.Text = "it is not valid before " + day(leaf.NotBefore) + ": is the clock right?"
	case l.now.Add(warnBefore).After(leaf.NotAfter):
		problem.Text, problem.Warning = "it expires on "+day(leaf.NotAfter)+": renew it", true
		return p, []CertProblem{problem}
	default:
		return p, nil
	}
	return nil, []CertProblem{problem}
}

func readBounded(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, errors.New("is not a regular file")
	case fi.Size() > maxCertFile:
		return nil, errors.New("is far too big")
	}
	return os.ReadFile(path)
}

// fileError is the reason of an error without the path, which stands before it already.
func fileError(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
