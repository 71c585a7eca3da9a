package modules

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stream"
)

type iqReg struct {
	at At
	ns string
	fn IQHandler
}
type domainReg struct {
	domain string
	Service
}
type discoReg struct {
	at      At
	feature string
}
type identityReg struct {
	at At
	id Identity
}
type formReg struct {
	at  At
	xml func() []byte
}

// registration is what one instance registered. Start fills it; seal ends that, and from then on it is only read.
type registration struct {
	module string
	log    *slog.Logger

	mu     sync.Mutex
	sealed bool
	before []*registration // of the modules listed earlier, while Start runs
	used   []*registration // of these, whose services Start found
	missed []func(svc any) bool

	hooks      Hooks
	features   []stream.Feature
	inline     []Inline
	binding    []InlineBind
	mechanisms []auth.Mechanism
	iqs        []iqReg
	domains    []domainReg
	disco      []discoReg
	identities []identityReg
	forms      []formReg
	services   []any
	commands   []Command
}

func newRegistration(module string, log *slog.Logger, before []*registration) *registration {
	r := &registration{module: module, log: log, before: before}
	r.hooks.each(func(_ string, k hook) { k.bind(r) })
	return r
}

// record runs fn unless the registration is closed: what a module registers late is in no table, so it would be silently
// without effect. That is a mistake of the module, told in the log.
func record(r *registration, what string, fn func(module string)) {
	if r == nil {
		fn("")
		return
	}
	r.mu.Lock()
	sealed := r.sealed
	if !sealed {
		fn(r.module)
	}
	r.mu.Unlock()
	if sealed && r.log != nil {
		r.log.Error("registered after Start, ignored", "what", what)
	}
}

func (r *registration) seal() {
	r.mu.Lock()
	r.sealed, r.before = true, nil
	r.mu.Unlock()
}

// stale tells whether an instance that stays in force would hold on to what is no longer there, or miss what is there
// now: it found services at Start of modules that are not among those now before it, or looked in vain for one that is.
func (r *registration) stale(before []*registration) bool {
	for _, u := range r.used {
		if !slices.Contains(before, u) {
			return true
		}
	}
	for _, fits := range r.missed {
		for _, b := range before {
			if slices.ContainsFunc(b.services, fits) {
				return true
			}
		}
	}
	return false
}

// find looks for a service. During Start it looks at the modules listed earlier, and remembers what the instance depends
// on; later at all modules of the table in force.
func (h *Host) find(fits func(svc any) bool) any {
	h.reg.mu.Lock()
	defer h.reg.mu.Unlock()
	if h.reg.sealed {
		return search(h.loader.regs(), fits, nil)
	}
	return search(h.reg.before, fits, func(r *registration) {
		if r == nil {
			h.reg.missed = append(h.reg.missed, fits)
		} else {
			h.reg.used = append(h.reg.used, r)
		}
	})
}

func search(in []*registration, fits func(svc any) bool, note func(*registration)) any {
	for _, r := range in {
		for _, s := range r.services {
			if fits(s) {
				if note != nil {
					note(r)
				}
				return s
			}
		}
	}
	if note != nil {
		note(nil)
	}
	return nil
}
