package authtoken

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// xtoken has what tokens of X-TOKEN are checked with:
//
//	otp nonce SPACE base64(HMAC-SHA-256(secret, otp nonce jid))
//
// otp is a one-time password of eight digits (RFC 6238, HMAC-SHA-1, 30 seconds), the nonce a fixed number of digits, jid the
// bare JID as it is prepared. Nothing separates the three; that the first two have a fixed length keeps "1" and "alice" from
// being "" and "1alice".
type xtoken struct {
	seed   func() ([][]byte, error)
	secret func() ([][]byte, error)
	nonce  int // digits
}

const (
	otpDigits = 8
	otpStep   = 30 // seconds
)

// slip is a token of X-TOKEN in its parts.
type slip struct {
	otp, nonce string
	signature  []byte
}

// parse reads a token: eight digits, the digits of the nonce, one space, and the base64 of 32 bytes in its only spelling.
func (x *xtoken) parse(token []byte) (s slip, ok bool) {
	digits, signature, _ := bytes.Cut(token, []byte{' '})
	if len(digits) != otpDigits+x.nonce || bytes.ContainsFunc(digits, func(r rune) bool { return r < '0' || r > '9' }) {
		return s, false
	}
	if len(signature) != base64.StdEncoding.EncodedLen(sha256.Size) || bytes.ContainsAny(signature, "\r\n") {
		return s, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(string(signature))
	return slip{string(digits[:otpDigits]), string(digits[otpDigits:]), b}, err == nil && len(b) == sha256.Size
}

// verify looks at the one-time password and the signature. Both are computed for all that could be meant, whatever fits.
// expiry is when the token is over (seconds since 1970).
func (x *xtoken) verify(s slip, account stanza.JID, now time.Time) (expiry uint64, err error) {
	seeds, err := x.seed()
	if err != nil {
		return 0, err
	}
	secrets, err := x.secret()
	if err != nil {
		return 0, err
	}
	step := now.Unix() / otpStep
	var counter int
	for _, seed := range seeds {
		for c := step - 1; c <= step+1; c++ {
			same := subtle.ConstantTimeCompare([]byte(totp(seed, uint64(c))), []byte(s.otp))
			counter = subtle.ConstantTimeSelect(same, int(c), counter)
		}
	}
	signed := 0
	for _, secret := range secrets {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(s.otp + s.nonce + account.String()))
		signed |= subtle.ConstantTimeCompare(h.Sum(nil), s.signature)
	}
	switch {
	case counter == 0:
		return 0, errOTP
	case signed == 0:
		return 0, errMAC
	}
	return uint64(counter+2) * otpStep, nil
}

// totp is a one-time password. RFC 4226 §5.3, RFC 6238 §4.
func totp(seed []byte, counter uint64) string {
	h := hmac.New(sha1.New, seed)
	h.Write(binary.BigEndian.AppendUint64(nil, counter))
	sum := h.Sum(nil)
	n := binary.BigEndian.Uint32(sum[sum[len(sum)-1]&15:]) & (1<<31 - 1)
	return fmt.Sprintf("%0*d", otpDigits, n%100_000_000)
}

// xtokenServer is the server side of X-TOKEN: one message, as that of PLAIN (RFC 4616 §2), with the token for a password.
func (m *module) xtokenServer(x *auth.Exchange) sasl.Mechanism {
	return sasl.Mechanism{Name: "X-TOKEN", Next: func(_ *sasl.Negotiator, in []byte, _ any) (bool, []byte, any, error) {
		return false, nil, nil, m.xtokenStep(x, in)
	}}
}

func (m *module) xtokenStep(x *auth.Exchange, in []byte) error {
	malformed := &auth.Failure{Condition: auth.MalformedRequest, Cause: errSyntax}
	parts := bytes.Split(in, []byte{0})
	if len(parts) != 3 || !utf8.Valid(in) {
		return malformed
	}
	account, err := stanza.NewJID(string(parts[1]), m.h.Name, "")
	if err != nil || account.Local() == "" {
		return malformed
	}
	s, ok := m.xtoken.parse(parts[2])
	if !ok {
		return malformed
	}
	who := auth.Identity{JID: account, Mechanism: "X-TOKEN"}
	if err := x.Identify(who); err != nil {
		return err
	}
	if authzid := string(parts[0]); authzid != "" { // RFC 6120 §6.3.8: nobody acts as somebody else here
		if z, err := stanza.ParseJID(authzid); err != nil || z != account {
			return &auth.Failure{Condition: auth.InvalidAuthzid}
		}
	}
	now := m.clock.wall()
	expiry, err := m.xtoken.verify(s, account, now)
	switch {
	case errors.Is(err, errOTP), errors.Is(err, errMAC):
		return refused(err)
	case err != nil:
		return err
	}
	who.Details, who.Made, err = m.spend(x.Context(), account, s, now, expiry)
	if err != nil {
		return verdict(err)
	}
	x.SetIdentity(who)
	return nil
}

// spend uses up a token that is right.
func (m *module) spend(ctx context.Context, account stanza.JID, s slip, now time.Time, expiry uint64) (l *Login, made bool, err error) {
	local := account.Local()
	acc, err := m.h.Users.Get(ctx, local)
	if errors.Is(err, auth.ErrNoUser) {
		if !m.cfg.AutoAccounts && m.cfg.RequireAccount {
			return nil, false, errNobody
		}
		acc, made, err = m.create(ctx, account, "x-token")
	}
	switch {
	case err != nil:
		return nil, false, err
	case acc.Disabled:
		return nil, false, auth.ErrDisabled
	}
	err = m.h.Store.Update(ctx, func(tx storage.Tx) error {
		r, err := load(tx, local)
		if err != nil {
			return err
		}
		if r == nil {
			r = begin()
		}
		at := name("x-token", account.String(), s.otp, s.nonce)
		switch _, used, err := firstSeen(tx, at); {
		case err != nil:
			return err
		case used:
			return errReplay
		}
		r.settle(acc.PasswordChanged, m.clock.date(), m.cfg.Validity.Access.seconds())
		if err := remember(tx, at, r.Generation, date(now), expiry+epoch); err != nil {
			return err
		}
		r.Used = m.clock.now()
		r.seen(r.Used)
		l = r.login("x-token")
		return r.save(tx, local)
	})
	return l, made, err
}
