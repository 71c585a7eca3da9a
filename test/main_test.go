// Package test drives the built xmppd from outside: scenarios, attacks, life and death of the process. Beside it, house
// rules that are tests.
package test

import (
	"os"
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

func TestMain(m *testing.M) {
	code := m.Run()
	xtest.Cleanup()
	os.Exit(code)
}
