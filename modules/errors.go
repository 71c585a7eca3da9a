package modules

import (
	"errors"

	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Answer makes the error that the sender gets of what a handler returned. log says that the cause is ours and belongs in
// the log; nothing of it is told to the sender.
func Answer(err error) (e *stanza.Error, log bool) {
	switch {
	case errors.As(err, &e):
		return e, false
	case errors.Is(err, storage.ErrFull), errors.Is(err, storage.ErrReadOnly):
		return stanza.Err(stanza.ResourceConstraint, ""), true // RFC 6120 §8.3.3.18: later it may work
	}
	return stanza.Err(stanza.InternalServerError, ""), true
}
