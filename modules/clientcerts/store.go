package clientcerts

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// The KVs. A localpart cannot hold a zero byte (RFC 7622 §3.3); a fingerprint has 32 bytes.
const (
	kvCerts  = "certs"  // localpart 0 fingerprint: certificate
	kvOwners = "owners" // fingerprint localpart: nothing. Who has that certificate
)

type fingerprint [sha256.Size]byte

// certificate is what is stored of one.
type certificate struct {
	Name       string    `json:"name"`
	DER        []byte    `json:"der"`
	Added      time.Time `json:"added"`
	Used       time.Time `json:"used,omitzero"`
	Expires    time.Time `json:"expires"`
	Restricted bool      `json:"restricted,omitempty"` // XEP-0257 §2.1, no-cert-management
	Disabled   bool      `json:"disabled,omitempty"`
	Password   time.Time `json:"password,omitzero"` // date of the account's password when it was uploaded

	print fingerprint
	stale bool // Disabled, because it outlived a password: nobody wrote that down
}

// outlived tells whether the account has got another password since, or is another one of the same name: where nobody told this
// module of it, because it was off or the server ended at that moment, the certificate is still there.
func (c *certificate) outlived(password time.Time) bool {
	return !c.Password.IsZero() && !c.Password.Equal(password)
}

// password is the date of an account's password; zero for no account.
func (m *module) password(ctx context.Context, local string) (time.Time, error) {
	acc, err := m.h.Users.Get(ctx, local)
	if errors.Is(err, auth.ErrNoUser) {
		return time.Time{}, nil
	}
	return acc.PasswordChanged, err
}

func (c *certificate) id() string                       { return hex.EncodeToString(c.print[:]) }
func (c *certificate) leaf() (*x509.Certificate, error) { return x509.ParseCertificate(c.DER) }

func ownerKey(local string) []byte { return append([]byte(local), 0) }

func certKey(local string, fp fingerprint) []byte { return append(ownerKey(local), fp[:]...) }

func indexKey(local string, fp fingerprint) []byte { return append(fp[:len(fp):len(fp)], local...) }

// parseRecord reads a stored certificate.
func parseRecord(fp []byte, value []byte) (*certificate, error) {
	c := &certificate{}
	if err := json.Unmarshal(value, c); err != nil || len(fp) != len(c.print) {
		return nil, fmt.Errorf("certificate: %w", storage.ErrCorrupt)
	}
	copy(c.print[:], fp)
	return c, nil
}

// certs are an account's certificates within a transaction, oldest first.
type certs struct {
	tx    storage.Tx
	local string
	list  []*certificate
}

func load(tx storage.Tx, local string) (*certs, error) {
	l := &certs{tx: tx, local: local}
	prefix := ownerKey(local)
	var bad error
	err := tx.KV(kvCerts).Scan(prefix, nil, func(key, value []byte) bool {
		c, err := parseRecord(key[len(prefix):], value)
		if err != nil {
			bad = err
			return false
		}
		l.list = append(l.list, c)
		return true
	})
	if err == nil {
		err = bad
	}
	slices.SortFunc(l.list, func(a, b *certificate) int {
		if d := a.Added.Compare(b.Added); d != 0 {
			return d
		}
		return bytes.Compare(a.print[:], b.print[:])
	})
	return l, err
}

// judge takes those for disabled that outlived a password.
func (l *certs) judge(password time.Time) {
	for _, c := range l.list {
		c.stale = !c.Disabled && c.outlived(password)
		c.Disabled = c.Disabled || c.stale
	}
}

func (l *certs) find(fits func(*certificate) bool) *certificate {
	if i := slices.IndexFunc(l.list, fits); i >= 0 {
		return l.list[i]
	}
	return nil
}

func (l *certs) put(c *certificate) error {
	b, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := l.tx.KV(kvCerts).Put(certKey(l.local, c.print), b); err != nil {
		return err
	}
	return l.tx.KV(kvOwners).Put(indexKey(l.local, c.print), nil)
}

func (l *certs) remove(c *certificate) error {
	if err := l.tx.KV(kvCerts).Delete(certKey(l.local, c.print)); err != nil {
		return err
	}
	return l.tx.KV(kvOwners).Delete(indexKey(l.local, c.print))
}

// drop removes a certificate, or leaves it disabled where it has to be remembered.
func (l *certs) drop(c *certificate, remember bool) error {
	if !remember {
		return l.remove(c)
	}
	c.Disabled = true
	return l.put(c)
}

// view reads all certificates of an account.
func (m *module) view(ctx context.Context, local string) (list []*certificate, err error) {
	password, err := m.password(ctx, local)
	if err == nil {
		err = m.h.Store.View(ctx, func(tx storage.Tx) error {
			l, err := load(tx, local)
			l.judge(password)
			list = l.list
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	return list, nil
}

// get returns a certificate of an account, or nil.
func (m *module) get(ctx context.Context, local string, fp fingerprint) (c *certificate, err error) {
	err = m.h.Store.View(ctx, func(tx storage.Tx) error {
		b, err := tx.KV(kvCerts).Get(certKey(local, fp))
		if err == nil && b != nil {
			c, err = parseRecord(fp[:], b)
		}
		return err
	})
	if err == nil && c != nil && !c.Disabled {
		var password time.Time
		password, err = m.password(ctx, local)
		c.Disabled = c.outlived(password)
	}
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	return c, nil
}

// owned tells whether any account has a certificate that lets it in.
func (m *module) owned(ctx context.Context, fp fingerprint) (ok bool, err error) {
	err = m.h.Store.View(ctx, func(tx storage.Tx) error {
		var bad error
		err := tx.KV(kvOwners).Scan(fp[:], nil, func(key, _ []byte) bool {
			b, err := tx.KV(kvCerts).Get(certKey(string(key[len(fp):]), fp))
			var c *certificate
			if err == nil && b != nil {
				c, err = parseRecord(fp[:], b)
			}
			bad, ok = err, c != nil && !c.Disabled
			return bad == nil && !ok
		})
		if err == nil {
			err = bad
		}
		return err
	})
	return ok, err
}

// change runs fn on an account's certificates in one transaction.
func (m *module) change(ctx context.Context, local string, fn func(l *certs) error) error {
	password, err := m.password(ctx, local)
	if err != nil {
		return err
	}
	return m.update(ctx, local, func(l *certs) error {
		l.judge(password)
		return fn(l)
	})
}

// update is change with what is stored, as it is stored.
func (m *module) update(ctx context.Context, local string, fn func(l *certs) error) error {
	return m.h.Store.Update(ctx, func(tx storage.Tx) error {
		l, err := load(tx, local)
		if err != nil {
			return err
		}
		return fn(l)
	})
}

// visible returns the certificates of an account that people should see: those that let somebody in, and those that are
// disabled while a session still uses them.
func (m *module) visible(ctx context.Context, account stanza.JID) ([]*certificate, error) {
	list, err := m.view(ctx, account.Local())
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(list, func(c *certificate) bool { return c.Disabled && len(m.sessions(account, c)) == 0 }), nil
}

// takeAll removes an account's certificates and returns those that let somebody in.
func (m *module) takeAll(ctx context.Context, account stanza.JID) (taken []*certificate, err error) {
	err = m.update(ctx, account.Local(), func(l *certs) error {
		taken = nil
		for _, c := range l.list {
			if !c.Disabled {
				taken = append(taken, c)
			}
			if err := l.drop(c, m.ca != nil); err != nil {
				return err
			}
		}
		return nil
	})
	return taken, err
}

// validName tells whether a user's name for a certificate is one.
func validName(s string) bool { return s != "" && len(s) <= maxName && strings.TrimSpace(s) == s }

// maxName is the longest name for a certificate, in bytes.
const maxName = 256
