package c2s

import (
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// policy is what the configuration says to c2s. It is immutable; a connection keeps the one it began with.
type policy struct {
	config.Limits
	requireTLS bool
	clearPlain bool
	conflict   string
	hosts      []string

	preauth, bound stanza.Limits
}

func newPolicy(cfg *config.Config) *policy {
	l := cfg.Limits.Effective()
	common := stanza.Limits{
		Attrs: l.Attributes, Namespaces: l.Namespaces, Name: int(l.NameSize), Value: int(l.AttributeSize),
	}
	p := &policy{
		Limits: l, requireTLS: cfg.C2S.RequireEncryption, clearPlain: cfg.C2S.AllowUnencryptedPlainAuth,
		conflict: cfg.C2S.ResourceConflict, hosts: cfg.General.Hosts, preauth: common, bound: common,
	}
	p.preauth.Size, p.preauth.Depth, p.preauth.Elements = int(l.StanzaPreauth), l.DepthPreauth, l.ElementsPreauth
	p.bound.Size, p.bound.Depth, p.bound.Elements = int(l.StanzaC2S), l.Depth, l.Elements
	return p
}

func (p *policy) stream() stream.Options {
	return stream.Options{
		Namespace:    stanza.NSClient,
		Limits:       p.preauth,
		WriteTimeout: time.Duration(p.WriteTimeout),
		WriteBuffer:  int(p.WriteBuffer),
		Rate:         int(p.RateC2S),
		Burst:        int(p.BurstC2S),
		StanzaTime:   time.Duration(p.StanzaTimeout),
		Blanks:       int(p.StanzaPreauth),
	}
}
