package auth

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"mellium.im/sasl"
)

// plain is the server side of PLAIN, RFC 4616.
func (u *users) plain(x *Exchange) sasl.Mechanism {
	return sasl.Mechanism{Name: "PLAIN", Next: func(_ *sasl.Negotiator, in []byte, _ any) (bool, []byte, any, error) {
		return false, nil, nil, u.plainStep(x, in)
	}}
}

func (u *users) plainStep(x *Exchange, in []byte) error {
	authzid, authcid, password, err := parsePlain(in)
	if err != nil {
		return err
	}
	j, err := u.identify(x, "PLAIN", authcid, authzid)
	if err != nil {
		return err
	}
	return checked(u.Check(x.Context(), j.Local(), password))
}

// parsePlain splits [authzid] NUL authcid NUL passwd. RFC 4616 §2.
func parsePlain(in []byte) (authzid, authcid, password string, err error) {
	parts := bytes.Split(in, []byte{0})
	if len(parts) != 3 || len(parts[1]) == 0 || len(parts[2]) == 0 || !utf8.Valid(in) {
		return "", "", "", malformed("not a PLAIN message")
	}
	return string(parts[0]), string(parts[1]), string(parts[2]), nil
}

// checked turns what Users.Check said into the answer.
func checked(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrPassword), errors.Is(err, ErrNoUser):
		return &Failure{Condition: NotAuthorized}
	case errors.Is(err, ErrDisabled):
		return &Failure{Condition: AccountDisabled} // RFC 6120 §6.5.2: only said to who knows the password
	}
	return err
}
