package stream

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// save writes a pair into files.
func save(t testing.TB, c tls.Certificate, crt, key string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(crt), 0o700); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	var chain []byte
	for _, b := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})...)
	}
	if err := errors.Join(os.WriteFile(crt, chain, 0o644), os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// later makes a file look changed, though all happens in one moment.
func later(t testing.TB, files ...string) {
	t.Helper()
	for _, f := range files {
		if err := os.Chtimes(f, time.Time{}, time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
}

var quiet = slog.New(slog.DiscardHandler)

func openCerts(t testing.TB, dir string, hosts ...string) *Certificates {
	t.Helper()
	s, err := OpenCertificates(CertOptions{Dir: dir, Hosts: hosts, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// shown is the certificate that a handshake gets: of STARTTLS on a stream to host, with SNI.
func shown(t testing.TB, s *Certificates, host, sni string) []byte {
	t.Helper()
	c, err := s.GetCertificate(host)(&tls.ClientHelloInfo{ServerName: sni})
	if err != nil {
		t.Fatal(err)
	}
	return c.Certificate[0]
}

func TestCertificateChoice(t *testing.T) {
	dir := t.TempDir()
	a, b, wild, idn := testCert(t, nil, nil, "a.test"), testCert(t, nil, nil, "b.test", "*.b.test"), testCert(t, nil, nil, "*.wild.test", "wild.test"), testCert(t, nil, nil, "xn--bcher-kva.test")
	save(t, a, dir+"/a.test.crt", dir+"/a.test.key")
	save(t, b, dir+"/b.test/fullchain.pem", dir+"/b.test/privkey.pem")
	save(t, wild, dir+"/some/fullchain.pem", dir+"/some/privkey.pem")
	save(t, idn, dir+"/bücher.test.crt", dir+"/bücher.test.key")
	// What is of no use to any host does no harm.
	if err := os.WriteFile(dir+"/broken.crt", []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := openCerts(t, dir, "a.test", "b.test", "x.wild.test", "bücher.test")
	for _, tt := range []struct {
		host, sni string
		want      tls.Certificate
	}{
		{"", "", a},
		{"", "a.test", a},
		{"", "B.Test", b},
		{"", "x.wild.test", wild},
		{"", "xn--bcher-kva.test", idn},
		{"", "conference.b.test", b}, // a service of a host
		{"", "unknown.test", a},
		{"b.test", "", b},
		{"Bücher.test", "", idn},
		{"b.test", "a.test", a}, // SNI decides
		{"b.test", "unknown.test", b},
		{"unknown.test", "", a},
	} {
		if got := shown(t, s, tt.host, tt.sni); !bytes.Equal(got, tt.want.Certificate[0]) {
			t.Errorf("stream to %q, SNI %q: wrong certificate", tt.host, tt.sni)
		}
	}
	var files []string
	for _, c := range s.List() {
		files = append(files, c.Host+" "+strings.TrimPrefix(c.File, dir))
	}
	if got := strings.Join(files, ", "); got != "a.test /a.test.crt, b.test /b.test/fullchain.pem, x.wild.test /some/fullchain.pem, xn--bcher-kva.test /bücher.test.crt" {
		t.Error(got)
	}
}

func TestServerTLSIsShared(t *testing.T) {
	dir := t.TempDir()
	save(t, testCert(t, nil, nil, "a.test"), dir+"/a.test.crt", dir+"/a.test.key")
	save(t, testCert(t, nil, nil, "b.test"), dir+"/b.test.crt", dir+"/b.test.key")
	s := openCerts(t, dir, "a.test", "b.test")
	get := func(host string, direct bool) *tls.Config {
		return ServerTLS(TLSOptions{Profile: "intermediate", Certificates: s, Host: host, Direct: direct, ALPN: "xmpp-client"})
	}
	if get("a.test", false) != get("A.test", false) || get("u1.test", true) != get("u2.test", true) || get("a.test", false) == get("b.test", false) {
		t.Error("configurations are not shared as they should")
	}
	if get("", false).NextProtos != nil || get("", true).NextProtos[0] != "xmpp-client" {
		t.Error("ALPN")
	}
	conn, tc, serr, cerr := handshake(t, get("b.test", false), &tls.Config{InsecureSkipVerify: true}, testOptions())
	if serr != nil || cerr != nil {
		t.Fatal(serr, cerr)
	}
	leaf := tc.ConnectionState().PeerCertificates[0]
	if leaf.VerifyHostname("b.test") != nil || !bytes.Equal(leaf.Raw, conn.ServerCertificate()) {
		t.Error("wrong certificate, or not noted")
	}
	if noting(get("a.test", false)) != get("a.test", false) {
		t.Error("a configuration that notes is copied for each connection")
	}
}

// T14: files that change are read again, mistakes leave the old certificate in use, and standing connections stay.
func TestCertificateReread(t *testing.T) {
	dir := t.TempDir()
	crt, key := dir+"/a.test.crt", dir+"/a.test.key"
	one, two := testCert(t, nil, nil, "a.test"), testCert(t, nil, nil, "a.test")
	save(t, one, crt, key)
	var logged bytes.Buffer
	s, err := OpenCertificates(CertOptions{Dir: dir, Hosts: []string{"a.test"}, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	tick := func() []byte {
		now = now.Add(2 * time.Second)
		s.refresh(now)
		s.next.Store(now.UnixNano() + int64(time.Hour))
		return s.set.Load().byHost["a.test"].cert.Certificate[0]
	}
	same := s.set.Load()
	tick()
	if s.set.Load() != same {
		t.Error("read again without a change")
	}
	s.next.Store(0)
	save(t, two, crt, key)
	later(t, crt, key)
	if !bytes.Equal(shown(t, s, "", ""), two.Certificate[0]) {
		t.Error("the new certificate is not shown")
	}
	// A mistake: the key of another.
	otherKey, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	save(t, testCert(t, otherKey, nil, "a.test"), dir+"/other.crt", key)
	later(t, key)
	s.next.Store(0)
	if !bytes.Equal(tick(), two.Certificate[0]) {
		t.Error("the old certificate is gone")
	}
	if p := s.Problems(); len(p) != 1 || !strings.Contains(p[0].Text, "does not belong") {
		t.Error(p)
	}
	if !strings.Contains(logged.String(), "level=ERROR") || !strings.Contains(logged.String(), "certificate reread") {
		t.Error(logged.String())
	}
	n := logged.Len()
	s.next.Store(0)
	tick()
	if logged.Len() != n {
		t.Error("the same mistake is logged twice")
	}
	if err := s.Reload(CertOptions{Dir: dir, Hosts: []string{"a.test"}, Log: quiet}); err == nil || !strings.Contains(err.Error(), key) {
		t.Error(err)
	}
	// A host without any certificate: nothing changes.
	save(t, two, crt, key)
	if err := s.Reload(CertOptions{Dir: dir, Hosts: []string{"new.test"}, Log: quiet}); err == nil {
		t.Error("a host without a certificate passes")
	}
	if !bytes.Equal(shown(t, s, "", "a.test"), two.Certificate[0]) {
		t.Error("something changed")
	}
	if err := s.Reload(CertOptions{Dir: dir, Hosts: []string{"a.test"}, Log: quiet}); err != nil || len(s.Problems()) != 0 {
		t.Error(err, s.Problems())
	}
	// Gone: kept.
	os.Remove(crt)
	os.Remove(key)
	if err := s.Reload(CertOptions{Dir: dir, Hosts: []string{"a.test"}, Log: quiet}); err == nil || !bytes.Equal(shown(t, s, "", ""), two.Certificate[0]) {
		t.Error(err)
	}
}

// A certificate of its own name that appears takes over from one that merely covers the host.
func TestCertificateAppears(t *testing.T) {
	dir := t.TempDir()
	wild, own := testCert(t, nil, nil, "*.test"), testCert(t, nil, nil, "a.test")
	save(t, wild, dir+"/wild.crt", dir+"/wild.key")
	s := openCerts(t, dir, "a.test")
	if !bytes.Equal(shown(t, s, "", ""), wild.Certificate[0]) {
		t.Error("not the wildcard's")
	}
	save(t, own, dir+"/a.test.crt", dir+"/a.test.key")
	s.next.Store(0)
	if !bytes.Equal(shown(t, s, "", ""), own.Certificate[0]) {
		t.Error("not its own")
	}
}

// T13: each mistake is a line that names the file.
func TestCertificateProblems(t *testing.T) {
	ec, rs := keys(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("no RSA keys of 1024 bits here: ", err)
	}
	other, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	at := func(from, to time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to)
		}
	}
	const crt, key, day = "a.test.crt", "a.test.key", 24 * time.Hour
	for _, tt := range []struct {
		name  string
		make  func(t *testing.T, dir string)
		file  string
		want  string
		warns bool
	}{
		{"none", func(t *testing.T, dir string) {}, "", "put a.test.crt and a.test.key", false},
		{"key of another", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
			save(t, testCert(t, other, nil, "a.test"), dir+"/x.crt", dir+"/"+key)
		}, key, "does not belong", false},
		{"expired", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, at(-3*day, -day), "a.test"), dir+"/"+crt, dir+"/"+key)
		}, crt, "it expired on 20", false},
		{"not yet", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, at(day, 2*day), "a.test"), dir+"/"+crt, dir+"/"+key)
		}, crt, "not valid before 20", false},
		{"soon", func(t *testing.T, dir string) {
			save(t, testCert(t, rs, at(-day, 5*day), "a.test"), dir+"/"+crt, dir+"/"+key)
		}, crt, "it expires on 20", true},
		{"other host", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "b.test", "*.a.test"), dir+"/"+crt, dir+"/"+key)
		}, crt, "does not cover the host, only b.test, *.a.test", false},
		{"name in CN alone", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, func(c *x509.Certificate) { c.Subject.CommonName = "a.test" }), dir+"/"+crt, dir+"/"+key)
		}, crt, "names no host", false},
		{"small", func(t *testing.T, dir string) {
			save(t, testCert(t, small, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
		}, crt, "1024 bits", false},
		{"readable", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
			os.Chmod(dir+"/"+key, 0o644)
		}, key, "mode 0644, others could read or change it: chmod 600 ", false},
		{"writable for the group", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
			os.Chmod(dir+"/"+key, 0o660)
		}, key, "mode 0660", false},
		{"no key", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
			os.Remove(dir + "/" + key)
		}, key, "no such file", false},
		{"no certificate beside the key", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
			os.Remove(dir + "/" + crt)
		}, crt, "no such file", false},
		{"link to nowhere", func(t *testing.T, dir string) {
			os.Symlink(dir+"/nowhere", dir+"/"+crt)
		}, crt, "no such file", false},
		{"directory", func(t *testing.T, dir string) {
			os.Mkdir(dir+"/"+crt, 0o700)
		}, crt, "not a regular file", false},
		{"too big", func(t *testing.T, dir string) {
			os.WriteFile(dir+"/"+crt, make([]byte, maxCertFile+1), 0o644)
		}, crt, "far too big", false},
		{"passphrase", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
			os.WriteFile(dir+"/"+key, pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}), 0o600)
		}, key, "passphrase", false},
		{"no PEM", func(t *testing.T, dir string) {
			save(t, testCert(t, ec, nil, "a.test"), dir+"/"+crt, dir+"/"+key)
			os.WriteFile(dir+"/"+crt, []byte("hello"), 0o644)
		}, crt, "failed to find any PEM data", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.make(t, dir)
			o := CertOptions{Dir: dir, Hosts: []string{"a.test"}, Log: quiet}
			s, err := OpenCertificates(o)
			_, _, found := FindCertificate(o, "a.test")
			var p CertProblem
			if tt.warns {
				if err != nil || found != nil {
					t.Fatal(err, found)
				}
				if l := s.Problems(); len(l) == 1 && l[0].Warning {
					p = l[0]
				}
			} else if !errors.As(err, &p) || found == nil || errors.Is(found, fs.ErrNotExist) != (tt.name == "none") {
				t.Fatal(err, found)
			}
			if want := filepath.Join(dir, tt.file); tt.file != "" && p.File != want || !strings.Contains(p.Text, tt.want) || strings.Contains(p.Error(), "\n") {
				t.Errorf("%v", p)
			}
		})
	}
}

// A group may read a key, as Debian's ssl-cert does.
func TestCertificateOfGroup(t *testing.T) {
	dir := t.TempDir()
	save(t, testCert(t, nil, nil, "a.test"), dir+"/a.test.crt", dir+"/a.test.key")
	os.Chmod(dir+"/a.test.key", 0o640)
	openCerts(t, dir, "a.test")
}

func TestCertificateOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	dir := t.TempDir()
	save(t, testCert(t, nil, nil, "a.test"), dir+"/a.test.crt", dir+"/a.test.key")
	if err := os.Chown(dir+"/a.test.key", 12345, 0); err != nil {
		t.Skip(err)
	}
	_, err := OpenCertificates(CertOptions{Dir: dir, Hosts: []string{"a.test"}})
	if err == nil || !strings.Contains(err.Error(), "chown 0 ") {
		t.Error(err)
	}
}

// All mistakes come at once.
func TestCertificateProblemsTogether(t *testing.T) {
	_, err := OpenCertificates(CertOptions{Dir: t.TempDir(), Hosts: []string{"a.test", "b.test", "../c", "a/b", ".hidden", ""}, Log: quiet})
	if err == nil {
		t.Fatal("no error")
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 6 {
		t.Errorf("%d lines: %v", n, err)
	}
	for _, part := range []string{"a.test: there is none", "b.test: there is none", "../c: not a host name", "a/b: not a host name"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
	if _, err := OpenCertificates(CertOptions{Dir: t.TempDir(), Log: quiet}); err == nil {
		t.Error("no host at all passes")
	}
}

func TestSelfSigned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "certs")
	o := CertOptions{Dir: t.TempDir(), SelfSigned: true, MadeDir: dir, Hosts: []string{"localhost", "bücher.test"}, Log: quiet}
	// Looking makes nothing.
	if _, _, err := FindCertificate(o, "localhost"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	ro := o
	ro.ReadOnly = true
	if s, err := OpenCertificates(ro); err != nil || len(s.List()) != 0 || len(s.Problems()) != 2 {
		t.Error(err)
	} else if _, err := s.GetCertificate("")(&tls.ClientHelloInfo{}); err == nil {
		t.Error("a certificate from nowhere")
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	s, err := OpenCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	crt, key := dir+"/localhost.crt", dir+"/localhost.key"
	if s.SelfSigned("localhost") != crt || s.SelfSigned("Bücher.test") != dir+"/xn--bcher-kva.test.crt" || s.SelfSigned("x") != "" {
		t.Error("the files are not named")
	}
	for path, want := range map[string]fs.FileMode{crt: 0o644, key: 0o600, dir: 0o700 | fs.ModeDir} {
		if fi, err := os.Stat(path); err != nil || fi.Mode() != want {
			t.Errorf("%s: %v %v", path, fi.Mode(), err)
		}
	}
	if left, _ := filepath.Glob(dir + "/.new-*"); len(left) > 0 {
		t.Error(left)
	}
	// Who is given the file can verify the server: by name and, for localhost, by address.
	roots := x509.NewCertPool()
	data, _ := os.ReadFile(crt)
	roots.AppendCertsFromPEM(data)
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		conn, _, serr, cerr := handshake(t, ServerTLS(TLSOptions{Profile: "modern", Certificates: s}), &tls.Config{RootCAs: roots, ServerName: name}, testOptions())
		if serr != nil || cerr != nil {
			t.Error(name, serr, cerr)
		}
		conn.Abort()
	}
	leaf := s.List()[0].Leaf
	if leaf.IsCA || !s.List()[0].Generated || time.Until(leaf.NotAfter) < 800*24*time.Hour {
		t.Errorf("%+v", s.List()[0])
	}
	if _, err := exec.LookPath("openssl"); err == nil {
		for _, more := range [][]string{nil, {"-x509_strict"}} {
			args := append(append([]string{"verify", "-CAfile", crt, "-purpose", "sslserver", "-verify_hostname", "localhost"}, more...), crt)
			if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
				t.Errorf("openssl %q: %v\n%s", args, err, out)
			}
		}
	}
	// The next start finds it.
	again, err := OpenCertificates(o)
	if err != nil || !again.List()[0].Leaf.Equal(leaf) {
		t.Error(err)
	}
	if l, file, err := FindCertificate(o, "localhost"); err != nil || file != crt || !l.Equal(leaf) {
		t.Error(err)
	}
}

// What the server made it makes anew when it must: near its end, half written, or for another name.
func TestSelfSignedRenewal(t *testing.T) {
	ec, _ := keys(t)
	dir := t.TempDir()
	crt, key := dir+"/a.test.crt", dir+"/a.test.key"
	o := CertOptions{SelfSigned: true, MadeDir: dir, Hosts: []string{"a.test"}, Log: quiet}
	until := func(d time.Duration) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.NotAfter = time.Now().Add(d) }
	}
	for name, spoil := range map[string]func(){
		"ends soon":   func() { save(t, testCert(t, ec, until(29*24*time.Hour), "a.test"), crt, key) },
		"ended":       func() { save(t, testCert(t, ec, until(-time.Minute), "a.test"), crt, key) },
		"other name":  func() { save(t, testCert(t, ec, nil, "b.test"), crt, key) },
		"empty":       func() { os.WriteFile(crt, nil, 0o644) },
		"key alone":   func() { os.Remove(crt) },
		"no key":      func() { os.Remove(key) },
		"another key": func() { save(t, testCert(t, ec, nil, "a.test"), dir+"/x.crt", key) },
	} {
		if err := makeCertificate(time.Now(), "a.test", crt, key); err != nil {
			t.Fatal(err)
		}
		spoil()
		s, err := OpenCertificates(o)
		if err != nil || s.List()[0].Leaf.NotAfter.Before(time.Now().Add(800*24*time.Hour)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// But not when others can read the key: that the admin must know.
	os.Chmod(key, 0o644)
	if _, err := OpenCertificates(o); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
	os.Chmod(key, 0o600)
	// A running server renews, too.
	s, err := OpenCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	save(t, testCert(t, ec, until(29*24*time.Hour), "a.test"), crt, key)
	later(t, crt)
	s.next.Store(0)
	shown(t, s, "", "")
	if s.List()[0].Leaf.NotAfter.Before(time.Now().Add(800 * 24 * time.Hour)) {
		t.Error("not renewed")
	}
	// An admin's certificate takes over.
	o.Dir = t.TempDir()
	own := testCert(t, nil, nil, "a.test")
	save(t, own, o.Dir+"/a.test.crt", o.Dir+"/a.test.key")
	if err := s.Reload(o); err != nil || !bytes.Equal(shown(t, s, "", ""), own.Certificate[0]) || s.SelfSigned("a.test") != "" {
		t.Error(err)
	}
}

func TestSelfSignedCannotWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		dir := t.TempDir()
		os.Chmod(dir, 0o500)
		_, err := OpenCertificates(CertOptions{SelfSigned: true, MadeDir: dir, Hosts: []string{"a.test"}})
		if err == nil || !strings.Contains(err.Error(), "cannot make a certificate") {
			t.Error(err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	_, err := OpenCertificates(CertOptions{SelfSigned: true, MadeDir: filepath.Join(file, "certs"), Hosts: []string{"a.test"}})
	if err == nil || !strings.Contains(err.Error(), "not a directory") {
		t.Error(err)
	}
}

// Handshakes, reloads and changes of files at the same time.
func TestCertificatesConcurrently(t *testing.T) {
	dir := t.TempDir()
	crt, key := dir+"/a.test.crt", dir+"/a.test.key"
	pair := testCert(t, nil, nil, "a.test")
	save(t, pair, crt, key)
	s := openCerts(t, dir, "a.test")
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				s.next.Store(0)
				shown(t, s, "a.test", "")
				ServerTLS(TLSOptions{Profile: "old", Certificates: s, Host: "a.test"})
			}
		})
	}
	for i := range 50 {
		os.Chtimes(crt, time.Time{}, time.Now().Add(time.Duration(i)*time.Hour))
		if err := s.Reload(CertOptions{Dir: dir, Hosts: []string{"a.test"}, Log: quiet}); err != nil {
			t.Error(err)
		}
	}
	cancel()
	wg.Wait()
}
