//go:build !linux

package bolt

import (
	"errors"
	"testing"
)

func smallDisk(t *testing.T, _ string) string {
	t.Skip("a small disk is a tmpfs, which only Linux has; TestMaxSize fills a store without")
	return ""
}

func limitFiles(uint64) error { return errors.ErrUnsupported }
