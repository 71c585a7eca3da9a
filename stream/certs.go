package stream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/idna"
)

const (
	checkEvery  = time.Second    // files are looked at no more often, however many handshakes there are
	rereadEvery = 12 * time.Hour // and read again that often even if nothing changed, for what time alone changes
	warnBefore  = 14 * 24 * time.Hour
)

// CertOptions say where certificates come from and who needs one.
type CertOptions struct {
	// Dir is the admin's directory: HOST.crt with HOST.key, or HOST/fullchain.pem with HOST/privkey.pem, or any pair
	// whose certificate covers the host.
	Dir string
	// SelfSigned makes one for a host that has none, and keeps it in MadeDir.
	SelfSigned bool
	MadeDir    string
	// Hosts are those that need one; the first is shown to clients that ask for no host that is known.
	Hosts []string
	// Services are subdomains of these, see Service.
	Services []Service
	// ServicesUnseen says that other servers do not connect, so that what a certificate lacks for a service is not worth a word.
	ServicesUnseen bool
	// ReadOnly looks without making or writing anything.
	ReadOnly bool
	Log      *slog.Logger
}

// CertProblem is a line for the admin about a host's certificate.
type CertProblem struct {
	Host    string
	File    string // may be empty
	Text    string
	Warning bool // the certificate works all the same
	none    bool // there is none at all
	once    bool // it is told once, however often the files are read
}

func (p CertProblem) Error() string {
	s := "certificate of " + p.Host + ": "
	if p.File != "" {
		s += p.File + ": "
	}
	return s + p.Text
}

// CertInfo describes a certificate in use.
type CertInfo struct {
	Host      string
	File      string
	Leaf      *x509.Certificate
	Generated bool // self-signed, made by the server
}

// Certificates picks certificates by host name and rereads them when their files change. Connections that stand keep
// what they were shown. A new file with a mistake is reported and leaves the old certificate in use.
type Certificates struct {
	set  atomic.Pointer[certSet]
	next atomic.Int64 // when to look at the files again, in Unix nanoseconds

	mu       sync.Mutex // guards what follows, and rereading
	opt      CertOptions
	problems []CertProblem
	configs  map[string]*tls.Config // what ServerTLS made, by all it depends on
}

// certSet is what handshakes see.
type certSet struct {
	byHost map[string]*certPair // by the name of the host or service in ASCII
	pairs  []*certPair
	first  *certPair // for those who ask for no host that is known
	hosts  []string  // keys of byHost in the order of the options; no services
	seen   string    // the state of the files
	watch  []string  // the files looked at, whether they are there or not
	read   time.Time
}

// OpenCertificates reads the certificates of all hosts. The error joins all problems that are not warnings, each a
// CertProblem.
func OpenCertificates(o CertOptions) (*Certificates, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if len(o.Hosts) == 0 {
		return nil, errors.New("certificates: no host is named")
	}
	s := &Certificates{opt: o, configs: make(map[string]*tls.Config)}
	s.set.Store(&certSet{})
	if err := s.Reload(o); err != nil {
		return nil, err
	}
	return s, nil
}

// Reload reads all certificates now, with options that may differ. Hosts whose files have a mistake keep what they had;
// the error names them. If a host has nothing at all, nothing changes.
func (s *Certificates) Reload(o CertOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.opt
	if o.Log == nil {
		o.Log = old.Log
	}
	s.opt = o
	complete, err := s.reread()
	if !complete {
		s.opt = old
		return err
	}
	clear(s.configs)
	return err
}

// Problems returns what the last reading found, warnings included.
func (s *Certificates) Problems() []CertProblem {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.problems
}

// List returns the certificates in use, in the order of the hosts. Those of services are not among them.
func (s *Certificates) List() []CertInfo {
	set := s.set.Load()
	out := make([]CertInfo, 0, len(set.hosts))
	for _, h := range set.hosts {
		p := set.byHost[h]
		out = append(out, CertInfo{h, p.crt, p.cert.Leaf, p.generated})
	}
	return out
}

// SelfSigned returns the file of the certificate that the server made for a host, for clients that are to verify it; empty
// where the host has one of its own.
func (s *Certificates) SelfSigned(host string) (file string) {
	if p := s.set.Load().byHost[asciiHost(host)]; p != nil && p.generated {
		return p.crt
	}
	return ""
}

// GetCertificate returns a function for tls.Config. The name that the client asks for decides (SNI, RFC 6066 §3), then
// host, then the first host there is.
func (s *Certificates) GetCertificate(host string) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	host = asciiHost(host)
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		s.refresh(time.Now())
		set := s.set.Load()
		for _, name := range [...]string{strings.ToLower(hello.ServerName), host} {
			if p := set.pick(name); p != nil {
				return p.cert, nil
			}
		}
		if set.first == nil {
			return nil, errors.New("stream: no certificate")
		}
		return set.first.cert, nil
	}
}

// Of returns the certificate of a host, or one that covers the name, such as that of a service of a host; nil where there
// is none. It is what the files hold now.
func (s *Certificates) Of(name string) *tls.Certificate {
	s.refresh(time.Now())
	if p := s.set.Load().pick(asciiHost(name)); p != nil {
		return p.cert
	}
	return nil
}

// pick returns the certificate of a host, or one that covers the name, such as that of a service of a host, or nil.
func (set *certSet) pick(name string) *certPair {
	if name == "" {
		return nil
	}
	if p := set.byHost[name]; p != nil {
		return p
	}
	for _, p := range set.pairs {
		if p.cert.Leaf.VerifyHostname(name) == nil {
			return p
		}
	}
	return nil
}

// refresh rereads the files if they changed, looking no more than once a second. One handshake does the work; others go
// on with what there is.
func (s *Certificates) refresh(now time.Time) {
	next := s.next.Load()
	if now.UnixNano() < next || !s.next.CompareAndSwap(next, now.Add(checkEvery).UnixNano()) || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	set, told := s.set.Load(), s.problems
	if now.Sub(set.read) < rereadEvery && fileState(set.watch) == set.seen {
		return
	}
	s.reread()
	for _, p := range s.problems {
		if p.once && slices.Contains(told, p) {
			continue
		}
		level := slog.LevelError
		if p.Warning {
			level = slog.LevelWarn
		}
		s.opt.Log.Log(context.Background(), level, "certificate: "+p.Text, "host", p.Host, "file", p.File)
	}
	for h, p := range s.set.Load().byHost {
		if set.byHost[h] != p {
			s.opt.Log.Info("certificate reread", "host", h, "file", p.crt, "expires", p.cert.Leaf.NotAfter)
		}
	}
}

// reread makes a new set, and puts it in force if every host has a certificate, be it the one it had. The caller holds mu.
func (s *Certificates) reread() (complete bool, err error) {
	now := time.Now()
	s.next.Store(now.Add(checkEvery).UnixNano())
	l := &certLoader{opt: &s.opt, now: now, tried: make(map[string]*certPair)}
	l.look(s.opt.Dir)
	old := s.set.Load()
	set := &certSet{byHost: make(map[string]*certPair), read: now}
	var errs []error
	for _, host := range s.opt.Hosts {
		name := asciiHost(host)
		if set.byHost[name] != nil {
			continue
		}
		p, problems := l.find(host)
		l.problems = append(l.problems, problems...)
		for _, pr := range problems {
			if !pr.Warning {
				errs = append(errs, pr)
			}
		}
		had := old.byHost[name]
		if p == nil {
			p = had
		}
		if p == nil {
			continue
		}
		p = p.sameAs(had)
		set.byHost[name] = p
		set.hosts = append(set.hosts, name)
		set.pairs = append(set.pairs, p)
	}
	for _, sv := range s.opt.Services {
		name := asciiHost(sv.Domain)
		if set.byHost[name] != nil {
			continue
		}
		p, problems := l.service(sv, set.byHost[asciiHost(sv.Host)], old.byHost[name])
		l.problems = append(l.problems, problems...)
		if p != nil {
			set.byHost[name] = p.sameAs(old.byHost[name])
			set.pairs = append(set.pairs, p)
		}
	}
	s.problems = l.problems
	err = errors.Join(errs...)
	for _, host := range s.opt.Hosts {
		if set.byHost[asciiHost(host)] == nil && !s.opt.ReadOnly {
			return false, err
		}
	}
	if len(set.pairs) > 0 {
		set.first = set.pairs[0]
	}
	// The state was taken before the files were read: a change while reading is seen next time.
	set.watch, set.seen = l.watch, l.state()
	s.set.Store(set)
	return true, err
}

// fileState describes files as far as a change shows.
func fileState(paths []string) string {
	var b strings.Builder
	for _, p := range paths {
		b.WriteString(oneState(p))
	}
	return b.String()
}

func oneState(path string) string {
	fi, err := os.Stat(path)
	if err != nil {
		return "-;"
	}
	return fmt.Sprintf("%d,%d,%o;", fi.ModTime().UnixNano(), fi.Size(), fi.Mode())
}

// asciiHost returns a host name as it stands in certificates and SNI.
func asciiHost(host string) string {
	if a, err := idna.Lookup.ToASCII(host); err == nil {
		return a
	}
	return strings.ToLower(host)
}

// FindCertificate looks, without making anything, which certificate a host would have: the file, and what is wrong with it.
// The error is fs.ErrNotExist where there is none.
func FindCertificate(o CertOptions, host string) (leaf *x509.Certificate, file string, err error) {
	chain, file, err := FindChain(o, host)
	if err != nil {
		return nil, file, err
	}
	return chain[0], file, nil
}

// FindChain is FindCertificate with all that the file holds, the host's own first: what the server shows.
func FindChain(o CertOptions, host string) (chain []*x509.Certificate, file string, err error) {
	o.ReadOnly = true
	l := &certLoader{opt: &o, now: time.Now(), tried: make(map[string]*certPair)}
	p, problems := l.find(host)
	switch {
	case p != nil:
		chain, err = p.chain(host)
		return chain, p.crt, err
	case len(problems) == 0:
		return nil, "", fs.ErrNotExist
	case problems[0].none:
		return nil, "", fmt.Errorf("%w (%w)", problems[0], fs.ErrNotExist)
	}
	return nil, problems[0].File, problems[0]
}

// chain returns all that the file holds.
func (p *certPair) chain(host string) (chain []*x509.Certificate, err error) {
	for _, der := range p.cert.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate of %s: %s: %w", host, p.crt, err)
		}
		chain = append(chain, c)
	}
	return chain, nil
}
