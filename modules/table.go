package modules

import (
	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stream"
)

// Table is all that the modules of one virtual host registered, in force until the next reload. It is immutable: who
// handles a stanza loads it once.
type Table struct {
	Host       string
	Modules    []string // names in order
	Hooks      Hooks
	Features   []stream.Feature
	Mechanisms []auth.Mechanism // highest weight first, allowed by c2s.sasl_mechanisms
	Domains    map[string]PacketHandler

	iq         [3]map[string]IQHandler
	disco      [3][]string
	identities [3][]Identity
	forms      [3][]func() []byte
}

// IQ returns the handler of a namespace, or nil.
func (t *Table) IQ(at At, ns string) IQHandler { return t.iq[at][ns] }

// Features returns the announced features, sorted.
func (t *Table) Disco(at At) (ids []Identity, features []string, forms []func() []byte) {
	return t.identities[at], t.disco[at], t.forms[at]
}
