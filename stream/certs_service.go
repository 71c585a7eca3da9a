package stream

import (
	"crypto/x509"
	"fmt"
	"time"
)

// Service is a subdomain of a host, served by one of its modules, such as conference.HOST. Other servers connect to it, clients do
// not. Its certificate is
//
//	the one in the directory that has its name
//	the host's, if that covers it
//	another one in the directory that covers it
//	one made for it, where the host's was made by the server, too
//	the host's all the same
//
// The last one is for servers that take dialback instead of a certificate, and the admin is told. A service is never a reason
// not to start.
type Service struct{ Domain, Host string }

// service returns the certificate of a service. parent is that of its host, had the one it had before; both may be nil.
func (l *certLoader) service(sv Service, parent, had *certPair) (*certPair, []CertProblem) {
	ascii := asciiHost(sv.Domain)
	var problems []CertProblem
	if l.opt.Dir != "" {
		p, found, is := l.named(sv.Domain, ascii)
		if p != nil {
			return p, l.minor(found)
		}
		problems = l.minor(found)
		if is && had != nil && (parent == nil || had.crt != parent.crt) && had.covers(ascii, l.now) {
			return had, problems
		}
	}
	if parent != nil && parent.covers(ascii, l.now) {
		return parent, problems
	}
	if l.opt.Dir != "" {
		if p := l.covering(ascii); p != nil && p.covers(ascii, l.now) {
			return p, problems
		}
	}
	if l.opt.SelfSigned && l.opt.MadeDir != "" && (parent == nil || parent.generated) {
		p, made := l.own(sv.Domain, ascii)
		problems = append(problems, l.minor(made)...)
		if p != nil {
			return p, problems
		}
	}
	if parent != nil && !l.opt.ServicesUnseen && len(problems) == 0 {
		problems = append(problems, CertProblem{Host: sv.Domain, File: parent.crt, Warning: true, once: true, Text: fmt.Sprintf(
			"it is that of %s and does not cover %s: other servers that want valid certificates refuse to talk to this service. "+
				"Have the name added to the certificate, or put %s.crt and %s.key into %s", sv.Host, sv.Domain, sv.Domain, sv.Domain, l.opt.Dir)})
	}
	return parent, problems
}

// minor makes warnings of what is wrong with a service's certificate: the server works without.
func (l *certLoader) minor(problems []CertProblem) []CertProblem {
	for i := range problems {
		problems[i].Warning = true
	}
	return problems
}

// covers tells whether a certificate is good for a name now.
func (p *certPair) covers(ascii string, now time.Time) bool {
	leaf := p.cert.Leaf
	return leaf.VerifyHostname(ascii) == nil && !now.After(leaf.NotAfter) && !now.Before(leaf.NotBefore)
}

// ServiceCertificate is what a service would show.
type ServiceCertificate struct {
	Chain     []*x509.Certificate // empty: none yet, the server makes one at its start
	File      string
	Own       bool // it is not that of the host
	Generated bool // self-signed, made by the server
	Problems  []CertProblem
}

// FindService looks, without making anything, which certificate a service would have.
func FindService(o CertOptions, sv Service) (c ServiceCertificate, err error) {
	o.ReadOnly = true
	l := &certLoader{opt: &o, now: time.Now(), tried: make(map[string]*certPair)}
	parent, _ := l.find(sv.Host)
	p, problems := l.service(sv, parent, nil)
	for _, pr := range problems {
		if !pr.none { // it will be made
			c.Problems = append(c.Problems, pr)
		}
	}
	if p == nil || p == parent && len(problems) > len(c.Problems) {
		return c, nil
	}
	c.File, c.Own, c.Generated = p.crt, p != parent, p.generated
	c.Chain, err = p.chain(sv.Domain)
	return c, err
}
