package s2s

import (
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// settings are what the configuration says to s2s. They are immutable; a link keeps the limits it began with.
type settings struct {
	config.Limits
	policy         *Policy
	dialer         Finder
	verifier       *Verifier
	preauth, authd stanza.Limits
}

func newSettings(cfg *config.Config, r Router, d Finder, v *Verifier) *settings {
	l := cfg.Limits.Effective()
	common := stanza.Limits{
		Attrs: l.Attributes, Namespaces: l.Namespaces, Name: int(l.NameSize), Value: int(l.AttributeSize),
	}
	s := &settings{Limits: l, policy: NewPolicy(cfg), dialer: d, verifier: v, preauth: common, authd: common}
	s.policy.owner = func(domain string) string {
		if t := r.Owner(domain); t != nil {
			return t.Host
		}
		return ""
	}
	s.preauth.Size, s.preauth.Depth, s.preauth.Elements = int(l.StanzaPreauth), l.DepthPreauth, l.ElementsPreauth
	s.authd.Size, s.authd.Depth, s.authd.Elements = int(l.StanzaS2S), l.Depth, l.Elements
	return s
}

func (s *settings) stream() stream.Options {
	return stream.Options{
		Namespace:    stanza.NSServer,
		Limits:       s.preauth,
		WriteTimeout: time.Duration(s.WriteTimeout),
		WriteBuffer:  int(s.WriteBuffer),
		Rate:         int(s.RateS2S),
		Burst:        int(s.BurstS2S),
		StanzaTime:   time.Duration(s.StanzaTimeout),
		Blanks:       int(s.StanzaPreauth),
	}
}
