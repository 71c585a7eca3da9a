package mam

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// policies are the values of the attribute default (XEP-0441 §2.1.1).
var policies = map[string]bool{"always": true, "never": true, "roster": true}

// prefs are what an account wants archived (XEP-0441). They are immutable.
type prefs struct {
	policy        string
	always, never []stanza.JID
}

// listed tells what the lists say of a JID: that the listed one has a resource, or that it is bare (XEP-0441 §2.3.1).
func (p *prefs) listed(j stanza.JID) (archive, known bool) {
	for _, target := range []stanza.JID{j, j.Bare()} {
		for _, l := range p.never {
			if l == target {
				return false, true
			}
		}
		for _, l := range p.always {
			if l == target {
				return true, true
			}
		}
	}
	return false, false
}

// wants tells whether an account's archive takes messages of or for another JID.
func (m *module) wants(ctx context.Context, owner, other stanza.JID) (bool, error) {
	if m.graves.of(owner.Local()).gone {
		return false, nil
	}
	policy := m.cfg.Load().DefaultPrefs
	p, err := m.prefs.get(ctx, owner.Local())
	if err != nil {
		return false, err
	}
	if p != nil {
		if archive, known := p.listed(other); known {
			return archive, nil
		}
		policy = p.policy
	}
	switch {
	case policy == "always":
		return true, nil
	case policy == "never":
		return false, nil
	case other.Bare() == owner:
		return true, nil // a note to oneself
	}
	_, ok, err := m.roster.Contact(ctx, owner, other.Bare())
	return ok, err
}

// maxCachedPrefs bounds the accounts whose preferences are in memory, and the addresses in them; most have none, which costs an
// entry too.
const maxCachedPrefs = 100_000

// prefsStore reads preferences once. What a writer stored is what those who ask after it see.
type prefsStore struct {
	kv    storage.KV
	cache *modules.AccountCache[*prefs] // nil: the account has none
}

func newPrefsStore(kv storage.KV) prefsStore {
	return prefsStore{kv, modules.NewAccountCache(modules.AccountCacheOptions[*prefs]{
		Max: maxCachedPrefs,
		Weight: func(p *prefs) int {
			if p == nil {
				return 1
			}
			return 1 + len(p.always) + len(p.never)
		},
		Read: func(ctx context.Context, local string) (*prefs, error) {
			b, err := kv.Get(ctx, []byte(local))
			switch {
			case errors.Is(err, storage.ErrNotFound):
				return nil, nil
			case err != nil:
				return nil, fmt.Errorf("read archive preferences: %w", err)
			}
			return decodePrefs(b)
		},
	})}
}

func (s *prefsStore) get(ctx context.Context, local string) (*prefs, error) {
	return s.cache.Get(ctx, local)
}

// set stores preferences, nil removes them; it need not be possible to read those that are there.
func (s *prefsStore) set(ctx context.Context, local string, p *prefs) (err error) {
	if p == nil {
		err = s.kv.Delete(ctx, []byte(local))
	} else {
		err = s.kv.Put(ctx, []byte(local), p.encode())
	}
	s.cache.Forget(local)
	return err
}

const prefsFormat = 1

// encode writes a record: the format, and lines of policy, addresses to archive with a + before them, and others with a -.
func (p *prefs) encode() []byte {
	b := append([]byte{prefsFormat}, p.policy...)
	for _, j := range p.always {
		b = j.AppendTo(append(b, "\n+"...))
	}
	for _, j := range p.never {
		b = j.AppendTo(append(b, "\n-"...))
	}
	return b
}

var errPrefs = errors.New("mod_mam: preferences not understood")

func decodePrefs(b []byte) (*prefs, error) {
	if len(b) == 0 || b[0] != prefsFormat {
		return nil, errPrefs
	}
	lines := strings.Split(string(b[1:]), "\n")
	p := &prefs{policy: lines[0]}
	if !policies[p.policy] {
		return nil, errPrefs
	}
	for _, l := range lines[1:] {
		if l == "" {
			return nil, errPrefs
		}
		j, err := stanza.ParseJID(l[1:])
		switch {
		case err != nil:
			return nil, errPrefs
		case l[0] == '+':
			p.always = append(p.always, j)
		case l[0] == '-':
			p.never = append(p.never, j)
		default:
			return nil, errPrefs
		}
	}
	return p, nil
}

// preferences answers a get or set of them (XEP-0441 §2.1).
func (m *module) preferences(ctx context.Context, q *modules.IQ) ([]byte, error) {
	owner := q.To.Bare()
	if !q.Set() {
		p, err := m.prefs.get(ctx, owner.Local())
		if err != nil {
			return nil, err
		}
		if p == nil {
			p = &prefs{policy: m.cfg.Load().DefaultPrefs}
		}
		return p.xml(), nil
	}
	p, err := parsePrefs(q.Payload, m.cfg.Load().PrefsJIDs)
	if err != nil {
		return nil, err
	}
	if m.graves.of(owner.Local()).gone { // the session that deleted its account
		return nil, stanza.Err(stanza.ItemNotFound, "")
	}
	if err := m.prefs.set(ctx, owner.Local(), p); err != nil {
		return nil, err
	}
	return p.xml(), nil
}

// parsePrefs reads what a client sets.
func parsePrefs(e *stanza.Element, most int) (*prefs, error) {
	p := &prefs{policy: e.Attr("default")}
	if !policies[p.policy] {
		return nil, stanza.Err(stanza.BadRequest, "default is always, never or roster")
	}
	seen := map[stanza.JID]bool{}
	for _, list := range []struct {
		name string
		to   *[]stanza.JID
	}{{"always", &p.always}, {"never", &p.never}} {
		l := e.Child("", list.name)
		if l == nil {
			continue
		}
		for _, c := range l.Children {
			if c.Name != "jid" || c.NS != ns {
				return nil, stanza.Err(stanza.BadRequest, "a list has jid elements")
			}
			j, err := stanza.ParseJID(strings.TrimSpace(c.Text))
			switch {
			case err != nil:
				return nil, stanza.Err(stanza.JIDMalformed, "")
			case seen[j]:
				return nil, stanza.Err(stanza.BadRequest, "an address is listed once")
			case len(seen) >= most:
				return nil, stanza.Err(stanza.PolicyViolation, fmt.Sprintf("at most %d addresses", most))
			}
			seen[j] = true
			*list.to = append(*list.to, j)
		}
	}
	return p, nil
}

func (p *prefs) xml() []byte {
	var x stanza.XML
	x.Start("prefs", "xmlns", ns, "default", p.policy)
	for _, list := range []struct {
		name string
		jids []stanza.JID
	}{{"always", p.always}, {"never", p.never}} {
		x.Start(list.name)
		for _, j := range list.jids {
			x.Leaf("jid", j.String())
		}
		x.End()
	}
	return x.Bytes()
}
