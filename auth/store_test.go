package auth

import (
	"testing"

	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/memory"
)

func newStore(t testing.TB) storage.Store {
	st := memory.New()
	t.Cleanup(func() { st.Close() })
	return st
}
