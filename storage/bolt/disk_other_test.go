//go:build !linux

package bolt

import "testing"

func smallDisk(t *testing.T, _ string) string {
	t.Skip("a small disk is a tmpfs, which only Linux has; TestMaxSize fills a store without")
	return ""
}
