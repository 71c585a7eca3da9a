package auth

import (
	"context"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Options configure the accounts of a server.
type Options struct {
	Hashes     []string // of Config.Auth.SCRAMHashes
	Iterations int
	Secret     func(label string) []byte // 32 bytes derived from the keyring for a use
}

// Accounts are the accounts of all hosts.
type Accounts struct{ accounts }

type accounts struct{}

// NewAccounts opens the accounts in a store. bucket(host) is where a host's accounts lie.
func NewAccounts(st storage.Store, o Options) *Accounts { panic("auth") }

// Host returns the accounts of one host.
func (a *Accounts) Host(host string) Users { panic("auth") }

// OnChange sets who is told of changes, after they are on disk: one of "created", "deleted", "password", "disabled",
// "enabled".
func (a *Accounts) OnChange(fn func(ctx context.Context, what string, j stanza.JID)) { panic("auth") }

// Mechanisms returns PLAIN and SCRAM-SHA-1, -256, -512, each with and without -PLUS, over a host's accounts.
func (a *Accounts) Mechanisms(host string) []Mechanism { panic("auth") }

// Bindings returns the channel bindings that a connection has, as XEP-0440 announces them: tls-exporter on TLS 1.3 only,
// tls-server-end-point on any TLS.
func Bindings(c *Conn) []string { panic("auth") }
