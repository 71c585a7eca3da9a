package devices

import (
	"context"
	"errors"
	"slices"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// ErrNoDevice says that an account has no device of that id.
var ErrNoDevice = errors.New("mod_devices: no such device")

var errRevoked = &stream.Error{Condition: "not-authorized", Text: "access revoked"}

// end makes all credentials of a device void, and then ends its sessions: those that wait to be resumed too. who says for
// the log who did it.
func (m *module) end(ctx context.Context, account stanza.JID, id string, who ...any) (*Device, error) {
	list, err := m.devices(ctx, account)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(list, func(d *Device) bool { return slices.Contains(d.ids, id) })
	if i < 0 {
		return nil, ErrNoDevice
	}
	d := list[i]
	var errs []error
	for _, ref := range d.refs {
		// One may have gone with the one before.
		if err := modules.RevokeCredential(ctx, m.h, account.Bare(), ref, errRevoked); !errors.Is(err, modules.ErrNoCredential) {
			errs = append(errs, err)
		}
	}
	for _, s := range d.sessions {
		s.Close(errRevoked)
	}
	m.h.Log.Info("device revoked", append([]any{"account", account.Bare().String(), "device", d.ID,
		"credentials", d.refs, "sessions", len(d.sessions)}, who...)...)
	return d, errors.Join(errs...)
}

// Service is what the admin does with devices. It is found by modules.Find and modules.ServiceOf.
type Service struct{ m *module }

// List returns what has access to an account, last used first.
func (s *Service) List(ctx context.Context, account stanza.JID) ([]*Device, error) {
	return s.m.devices(ctx, account)
}

// Revoke takes a device's access away. What it returns is the device as it was: one that knows the password can come back.
// by says who did it, for the log.
func (s *Service) Revoke(ctx context.Context, account stanza.JID, id, by string) (*Device, error) {
	return s.m.end(ctx, account, id, "by", by)
}
