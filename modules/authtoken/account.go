package authtoken

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/stanza"
)

// create makes an account for who has shown a good token, under the same rules as registration: not with the name of one that
// was deleted not long ago. Nobody knows its password.
func (m *module) create(ctx context.Context, account stanza.JID, kind string) (acc auth.Account, made bool, err error) {
	local := account.Local()
	for _, names := range modules.FindAll[register.Names](m.h) {
		switch kept, err := names.Kept(ctx, local); {
		case err != nil:
			return acc, false, err
		case kept:
			return acc, false, errKeptName
		}
	}
	switch err := m.h.Users.Create(ctx, local, rand.Text()+rand.Text()); {
	case err == nil:
		made = true
		m.h.Log.Info("account made for a token", "account", account.String(), "kind", kind)
	case !errors.Is(err, auth.ErrExists): // somebody was faster
		return acc, false, err
	}
	acc, err = m.h.Users.Get(ctx, local)
	return acc, made, err
}
