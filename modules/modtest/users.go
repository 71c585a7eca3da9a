package modtest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Password is the password of accounts that User and Session make.
const Password = "correct horse"

// Users are accounts in memory, with the passwords as they are. Changes are told to the host's modules, as auth tells them.
type Users struct {
	h  *Host
	mu sync.Mutex
	m  map[string]*user
	// Fail, if set, is what all writes return.
	Fail error
}

type user struct {
	auth.Account
	password string
}

var _ auth.Users = (*Users)(nil)

func newUsers(h *Host) *Users { return &Users{h: h, m: map[string]*user{}} }

// User makes an account with Password.
func (h *Host) User(local string) {
	h.t.Helper()
	if err := h.Users.Create(context.Background(), local, Password); err != nil {
		h.t.Fatal(err)
	}
}

func (u *Users) notify(ctx context.Context, ev modules.UserEvent, local string) {
	if t := u.h.Table(); t != nil {
		t.Notify(ctx, ev, stanza.MustJID(local+"@"+u.h.Name))
	}
}

// change runs fn on an account under the lock.
func (u *Users) change(local string, fn func(*user) error) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.Fail != nil {
		return u.Fail
	}
	a := u.m[local]
	if a == nil {
		return auth.ErrNoUser
	}
	return fn(a)
}

// Exists implements auth.Users.
func (u *Users) Exists(_ context.Context, local string) (bool, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.m[local] != nil, nil
}

// Get implements auth.Users.
func (u *Users) Get(_ context.Context, local string) (auth.Account, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	a := u.m[local]
	if a == nil {
		return auth.Account{}, auth.ErrNoUser
	}
	return a.Account, nil
}

// Create implements auth.Users.
func (u *Users) Create(ctx context.Context, local, password string) error {
	u.mu.Lock()
	switch {
	case u.Fail != nil:
		u.mu.Unlock()
		return u.Fail
	case u.m[local] != nil:
		u.mu.Unlock()
		return auth.ErrExists
	case password == "":
		u.mu.Unlock()
		return auth.ErrPolicy
	}
	now := time.Now().UTC()
	u.m[local] = &user{auth.Account{Local: local, Created: now, PasswordChanged: now}, password}
	u.mu.Unlock()
	u.notify(ctx, modules.UserCreated, local)
	return nil
}

// SetPassword implements auth.Users.
func (u *Users) SetPassword(ctx context.Context, local, password string) error {
	err := u.change(local, func(a *user) error {
		if password == "" {
			return auth.ErrPolicy
		}
		a.password, a.PasswordChanged = password, time.Now().UTC()
		return nil
	})
	if err == nil {
		u.notify(ctx, modules.UserPasswordChanged, local)
	}
	return err
}

// Check implements auth.Users.
func (u *Users) Check(_ context.Context, local, password string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch a := u.m[local]; {
	case a == nil:
		return auth.ErrNoUser
	case a.password != password:
		return auth.ErrPassword
	case a.Disabled:
		return auth.ErrDisabled
	}
	return nil
}

// SetDisabled implements auth.Users.
func (u *Users) SetDisabled(ctx context.Context, local string, disabled bool) error {
	err := u.change(local, func(a *user) error { a.Disabled = disabled; return nil })
	if err == nil && disabled {
		u.notify(ctx, modules.UserDisabled, local)
	}
	return err
}

// Delete implements auth.Users.
func (u *Users) Delete(ctx context.Context, local string) error {
	err := u.change(local, func(*user) error { delete(u.m, local); return nil })
	if err == nil {
		u.notify(ctx, modules.UserDeleted, local)
	}
	return err
}

// List implements auth.Users.
func (u *Users) List(_ context.Context, fn func(auth.Account) bool) error {
	u.mu.Lock()
	var list []auth.Account
	for _, a := range u.m {
		list = append(list, a.Account)
	}
	u.mu.Unlock()
	slices.SortFunc(list, func(a, b auth.Account) int { return strings.Compare(a.Local, b.Local) })
	for _, a := range list {
		if !fn(a) {
			break
		}
	}
	return nil
}

// Touch implements auth.Users.
func (u *Users) Touch(local string, at time.Time) {
	u.change(local, func(a *user) error { a.LastLogin = at; return nil })
}
