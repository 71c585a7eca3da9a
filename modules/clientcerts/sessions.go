package clientcerts

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

func (c *certificate) ref() string { return modules.CredentialRef(Kind, c.id()) }

// sessions returns those that logged in with a certificate, or with a token got in such a session.
func (m *module) sessions(account stanza.JID, c *certificate) []modules.Session {
	return modules.SessionsOf(m.h.Router, account, c.ref())
}

// resources returns the names of the sessions that logged in by EXTERNAL with a certificate (XEP-0257 §2.2).
func (m *module) resources(account stanza.JID, c *certificate) []string {
	var out []string
	for _, s := range m.sessions(account, c) {
		if l, ok := s.Info().Details.(*Login); ok && l.print == c.print {
			out = append(out, s.JID().Resource())
		}
	}
	slices.Sort(out)
	return out
}

// inUse returns the certificates behind an account's sessions.
func (m *module) inUse(account stanza.JID) map[fingerprint]bool {
	used := map[fingerprint]bool{}
	for _, s := range m.h.Router.Sessions(account.Bare()) {
		for _, fp := range behind(s) {
			used[fp] = true
		}
	}
	return used
}

// behind returns the certificates behind a session's login.
func behind(s modules.Session) []fingerprint {
	var out []fingerprint
	for _, ref := range modules.CredentialsOf(s.Info().Details) {
		if id, ok := strings.CutPrefix(ref, Kind+":"); ok {
			if fp, ok := parseID(id); ok {
				out = append(out, fp)
			}
		}
	}
	return out
}

// restricted tells whether a session logged in with a certificate that may not manage certificates (XEP-0257 §2.1). One that
// is gone meanwhile may nothing either.
func (m *module) restricted(ctx context.Context, s modules.Session) (bool, error) {
	login, _ := s.Info().Details.(*Login)
	for _, fp := range behind(s) {
		c, err := m.get(ctx, s.JID().Local(), fp)
		if err != nil {
			return false, err
		}
		if c != nil && c.Restricted || c == nil && (login == nil || login.uploaded) {
			return true, nil
		}
	}
	return false, nil
}

// guard asks again, as soon as others can find a session, whether its certificate still lets it in: between login and here
// it may have been taken back.
func (m *module) guard(ctx context.Context, s modules.Session) {
	login, ok := s.Info().Details.(*Login)
	if !ok {
		return
	}
	c, err := m.get(ctx, s.JID().Local(), login.print)
	switch {
	case err != nil:
		m.h.Log.Error("certificate not looked up", "id", s.ID(), "err", err)
		s.Close(errRevoked)
	case c == nil && login.uploaded, c != nil && c.Disabled:
		s.Close(errRevoked)
	case c != nil:
		m.used(ctx, s)
	}
}

// usedPrecision is how exactly the last use is kept: not every reconnection is worth a write.
const usedPrecision = time.Minute

// used notes that a certificate is in use, or was until now.
func (m *module) used(ctx context.Context, s modules.Session) {
	login, ok := s.Info().Details.(*Login)
	if !ok || !login.uploaded {
		return
	}
	local, now := s.JID().Local(), time.Now().UTC()
	c, err := m.get(ctx, local, login.print)
	if err != nil || c == nil {
		if err != nil {
			m.h.Log.Warn("use of a certificate not noted", "id", s.ID(), "err", err)
		}
		return
	}
	forget := c.Disabled && m.ca == nil && len(m.sessions(s.JID(), c)) == 0
	if !forget && now.Sub(c.Used) < usedPrecision {
		return
	}
	var stale *certificate
	err = m.change(ctx, local, func(l *certs) error {
		stale = nil
		c := l.find(func(c *certificate) bool { return c.print == login.print })
		switch {
		case c == nil:
			return nil
		case forget && c.Disabled:
			if c.stale {
				stale = c
			}
			return l.remove(c)
		}
		c.Used = now
		return l.put(c)
	})
	if err != nil {
		m.h.Log.Warn("use of a certificate not noted", "id", s.ID(), "err", err)
	} else if stale != nil { // before dropAll, which is told of the same change
		m.audit("certificate removed", s.JID(), stale, "why", changedPassword)
	}
}
