package modules

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stream"
)

// Table is all that the modules of one virtual host registered, in force until the next reload. It is immutable: who
// handles a stanza loads it once.
type Table struct {
	Host       string
	Modules    []string // names in order
	Hooks      Hooks
	Features   []stream.Feature
	Inline     []Inline           // of logins
	Binding    []InlineBind       // of binding a resource
	Mechanisms []auth.Mechanism   // highest weight first, allowed by c2s.sasl_mechanisms
	Domains    map[string]Service // subdomains that modules serve
	Commands   []Command          // XEP-0050, in order of node

	iq         [3]map[string]IQHandler
	disco      [3][]string
	identities [3][]Identity
	forms      [3][]func() []byte
}

// IQ returns the handler of a namespace, or nil.
func (t *Table) IQ(at At, ns string) IQHandler { return t.iq[at][ns] }

// Disco returns the announced identities, features and forms, each sorted by what it is or in the order of modules/all.
// The slices must not be changed.
func (t *Table) Disco(at At) (ids []Identity, features []string, forms []func() []byte) {
	return t.identities[at], t.disco[at], t.forms[at]
}

// assemble builds the tables of all hosts. Conflicts are reported together.
func (l *Loader) assemble(cfg *config.Config, wanted []wantHost, sets []*hostSet) error {
	var errs []error
	owner := map[string]string{} // of domains, over all hosts
	for _, w := range wanted {
		owner[w.host] = "the virtual host"
	}
	for i, s := range sets {
		b := builder{t: &Table{Host: wanted[i].host, Domains: map[string]Service{}}, domains: owner}
		if l.env.Core != nil {
			b.mechanisms("auth", l.env.Core(b.t.Host))
		}
		for _, in := range s.list {
			b.add(in.reg)
		}
		b.finish(cfg.C2S.SASLMechanisms)
		for _, name := range b.unknown {
			l.env.Log.Warn("c2s.sasl_mechanisms names a mechanism that nobody offers", "host", b.t.Host, "mechanism", name)
		}
		s.table = b.t
		errs = append(errs, b.errs...)
	}
	return errors.Join(errs...)
}

// builder collects one host's table.
type builder struct {
	t       *Table
	domains map[string]string // who serves a domain
	iqs     [3]map[string]string
	mechs   map[string]string
	nodes   map[string]string // who offers a command
	unknown []string
	errs    []error
}

func (b *builder) conflict(what, one, other string) {
	b.errs = append(b.errs, fmt.Errorf("host %s: %s is claimed by %s and by %s: disable one of them (disabled_modules)", b.t.Host, what, one, other))
}

// add merges what one module registered.
func (b *builder) add(r *registration) {
	t := b.t
	t.Modules = append(t.Modules, r.module)
	t.Hooks.merge(&r.hooks)
	t.Features = append(t.Features, r.features...)
	t.Inline = append(t.Inline, r.inline...)
	t.Binding = append(t.Binding, r.binding...)
	b.mechanisms(r.module, r.mechanisms)
	for _, q := range r.iqs {
		if other, taken := b.iqs[q.at][q.ns]; taken {
			b.conflict(fmt.Sprintf("IQ namespace %q (%s)", q.ns, q.at), other, r.module)
			continue
		}
		if t.iq[q.at] == nil {
			t.iq[q.at], b.iqs[q.at] = map[string]IQHandler{}, map[string]string{}
		}
		t.iq[q.at][q.ns], b.iqs[q.at][q.ns] = q.fn, r.module
	}
	for _, d := range r.domains {
		if other, taken := b.domains[d.domain]; taken {
			b.conflict("domain "+d.domain, other, r.module)
			continue
		}
		if !below(d.domain, t.Host) {
			b.errs = append(b.errs, fmt.Errorf("host %s: %s serves %q, which is no subdomain of it", t.Host, r.module, d.domain))
			continue
		}
		b.domains[d.domain] = r.module
		t.Domains[d.domain] = d.Service
	}
	for _, c := range r.commands {
		if other, taken := b.nodes[c.Node]; taken {
			b.conflict("command "+c.Node, other, r.module)
			continue
		}
		if b.nodes == nil {
			b.nodes = map[string]string{}
		}
		b.nodes[c.Node] = r.module
		t.Commands = append(t.Commands, c)
	}
	for _, d := range r.disco {
		t.disco[d.at] = append(t.disco[d.at], d.feature)
	}
	for _, id := range r.identities {
		if !slices.Contains(t.identities[id.at], id.id) {
			t.identities[id.at] = append(t.identities[id.at], id.id)
		}
	}
	for _, f := range r.forms {
		t.forms[f.at] = append(t.forms[f.at], f.xml)
	}
}

func (b *builder) mechanisms(module string, list []auth.Mechanism) {
	for _, m := range list {
		if other, taken := b.mechs[m.Name]; taken {
			b.conflict("mechanism "+m.Name, other, module)
			continue
		}
		if b.mechs == nil {
			b.mechs = map[string]string{}
		}
		b.mechs[m.Name] = module
		b.t.Mechanisms = append(b.t.Mechanisms, m)
	}
}

// finish sorts, and leaves the mechanisms that the admin allows. Those that are never listed to clients (Unlisted, the
// HT-* of XEP-0484) are no choice of the client's, so the list does not speak of them: their module is switched on or off.
func (b *builder) finish(allowed []string) {
	t := b.t
	for at := range t.disco {
		slices.Sort(t.disco[at])
		t.disco[at] = slices.Compact(t.disco[at])
	}
	slices.SortFunc(t.Commands, func(x, y Command) int { return strings.Compare(x.Node, y.Node) })
	if len(allowed) > 0 {
		t.Mechanisms = slices.DeleteFunc(t.Mechanisms, func(m auth.Mechanism) bool {
			return !m.Unlisted && !slices.Contains(allowed, m.Name)
		})
		for _, name := range allowed {
			if b.mechs[name] == "" {
				b.unknown = append(b.unknown, name)
			}
		}
	}
	slices.SortStableFunc(t.Mechanisms, func(x, y auth.Mechanism) int {
		return cmp.Or(y.Weight-x.Weight, strings.Compare(x.Name, y.Name))
	})
	closed := &registration{module: "table", sealed: true} // a table does not change any more
	t.Hooks.each(func(_ string, k hook) { k.bind(closed) })
}
