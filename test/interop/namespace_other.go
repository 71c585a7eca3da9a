//go:build !linux

package interop

import "testing"

func apart(t *testing.T) bool {
	t.Skip("the federation lab needs Linux's namespaces")
	return false
}
