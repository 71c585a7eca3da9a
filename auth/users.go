package auth

import (
	"context"
	"errors"
	"time"
)

// The errors of Users.
var (
	ErrNoUser   = errors.New("auth: no such account")
	ErrExists   = errors.New("auth: account exists")
	ErrDisabled = errors.New("auth: account is disabled")
	ErrPassword = errors.New("auth: wrong password")
	ErrPolicy   = errors.New("auth: password or name not allowed") // wrapped with what is wrong
)

// Account is what is known of an account, without its secrets.
type Account struct {
	Local           string // prepared localpart
	Created         time.Time
	PasswordChanged time.Time
	LastLogin       time.Time // zero: never
	Disabled        bool
	Hashes          []string // SHA-1, SHA-256, SHA-512: which SCRAM keys there are
}

// Users are the accounts of one host. Localparts are prepared (stanza.JID.Local). All writes are on disk at return.
type Users interface {
	Exists(ctx context.Context, local string) (bool, error)
	Get(ctx context.Context, local string) (Account, error)
	Create(ctx context.Context, local, password string) error
	// CreateOrSet is not offered: creating over an existing account is how password resets go unnoticed.
	SetPassword(ctx context.Context, local, password string) error
	// Check verifies a password as PLAIN does, in the same time for unknown accounts.
	Check(ctx context.Context, local, password string) error
	SetDisabled(ctx context.Context, local string, disabled bool) error
	Delete(ctx context.Context, local string) error
	// List visits all accounts in order of name until fn returns false.
	List(ctx context.Context, fn func(Account) bool) error
	// Touch notes a login. Get and List know it at once; it is on disk some seconds later, for nobody was promised it.
	Touch(local string, at time.Time)
}
