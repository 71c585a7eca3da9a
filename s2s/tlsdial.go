package s2s

import (
	"crypto/tls"

	"github.com/xmppd/xmppd/stream"
)

// ClientTLSOptions are what the configuration of a handshake depends on.
type ClientTLSOptions struct {
	Profile      string   // of [tls]; see stream.ParseTLSPolicy, which has approved it
	Curves       []string // as well
	Certificates *stream.Certificates
	Local        string // our host, or a service of it
	Domain       string // the peer
	Direct       bool   // direct TLS (XEP-0368)
}

// ClientTLS returns the configuration of a handshake as the server that connects. The peer's certificate is not judged:
// Verifier.Check does, afterwards.
func ClientTLS(o ClientTLSOptions) *tls.Config {
	p, err := stream.ParseTLSPolicy(o.Profile, o.Curves)
	if err != nil {
		p, _ = stream.ParseTLSPolicy("intermediate", nil)
	}
	alpn := ""
	if o.Direct {
		alpn = "xmpp-server" // XEP-0368 §2
	}
	cfg := p.Config(alpn)
	cfg.InsecureSkipVerify = true
	// The domain, not the name that its DNS led to (RFC 6120 §5.4.3.1, XEP-0368 §2). Package tls leaves addresses out.
	if name, err := asciiDomain(o.Domain); err == nil {
		cfg.ServerName = name
	}
	cfg.GetClientCertificate = func(cri *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		// Whatever authorities the peer lists: it may trust more than these, and a certificate that it does not trust leaves
		// dialback possible. One that it cannot even read would end the handshake.
		asked := *cri
		asked.AcceptableCAs = nil
		if o.Certificates != nil {
			if cert := o.Certificates.Of(o.Local); cert != nil && asked.SupportsCertificate(cert) == nil {
				return cert, nil
			}
		}
		return new(tls.Certificate), nil // none
	}
	return cfg
}
