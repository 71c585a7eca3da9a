// Package storagetest is the suite that each storage driver passes.
package storagetest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/xmppd/xmppd/storage"
)

// Open returns an empty store, which the suite closes.
type Open func(t *testing.T) storage.Store

// Reopen closes a store that Open or Reopen returned, and opens what it stored.
type Reopen func(t *testing.T, s storage.Store) storage.Store

// Run runs the suite. reopen is nil for a driver that forgets.
func Run(t *testing.T, open Open, reopen Reopen) {
	tests := []struct {
		name string
		fn   func(t *testing.T, s storage.Store)
	}{
		{"KV", testKV},
		{"Scan", testScan},
		{"ScanLong", testScanLong},
		{"Update", testUpdate},
		{"UpdateFails", testUpdateFails},
		{"UpdateScan", testUpdateScan},
		{"UpdatePanics", testUpdatePanics},
		{"TxEnds", testTxEnds},
		{"View", testView},
		{"Isolation", testIsolation},
		{"Concurrent", testConcurrent},
		{"DeleteBucket", testDeleteBucket},
		{"Limits", testLimits},
		{"Large", testLarge},
		{"Cancel", testCancel},
		{"Close", testClose},
		{"Archive", testArchive},
		{"ArchiveIDs", testArchiveIDs},
		{"ArchivePages", testArchivePages},
		{"ArchiveTimes", testArchiveTimes},
		{"ArchiveRemove", testArchiveRemove},
		{"ArchiveExpire", testArchiveExpire},
		{"ArchiveDrop", testArchiveDrop},
		{"ArchiveConcurrent", testArchiveConcurrent},
		{"ArchiveBytes", testArchiveBytes},
		{"ArchiveAll", testArchiveAll},
		{"ArchiveBounds", testArchiveBounds},
		{"ArchiveResources", testArchiveResources},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			}()
			test.fn(t, s)
			if test.name != "Close" {
				check(t, s.Verify(t.Context()))
			}
		})
	}
	if reopen != nil {
		t.Run("Reopen", func(t *testing.T) { testReopen(t, open(t), reopen) })
		t.Run("Backup", func(t *testing.T) { testBackup(t, open(t)) })
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func put(t testing.TB, kv storage.KV, key, value string) {
	t.Helper()
	check(t, kv.Put(t.Context(), []byte(key), []byte(value)))
}

func get(t testing.TB, kv storage.KV, key string) string {
	t.Helper()
	v, err := kv.Get(t.Context(), []byte(key))
	if err != nil {
		t.Fatalf("Get %q: %v", key, err)
	}
	return string(v)
}

// each runs fn n times at once.
func each(n int, fn func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { fn(i) })
	}
	wg.Wait()
}

// list scans a KV into a line of key=value.
func list(t testing.TB, kv storage.KV, prefix, from string) string {
	t.Helper()
	return listAny(t, func(p, f []byte, fn func(k, v []byte) bool) error { return kv.Scan(t.Context(), p, f, fn) }, prefix, from)
}

func listTx(t testing.TB, kv storage.TxKV, prefix, from string) string {
	t.Helper()
	return listAny(t, kv.Scan, prefix, from)
}

func listAny(t testing.TB, scan func(prefix, from []byte, fn func(k, v []byte) bool) error, prefix, from string) (s string) {
	t.Helper()
	var f []byte
	if from != "" {
		f = []byte(from)
	}
	err := scan([]byte(prefix), f, func(k, v []byte) bool {
		s += fmt.Sprintf("%s=%s ", k, v)
		return true
	})
	if err != nil {
		t.Errorf("Scan: %v", err)
	}
	return s
}

var bg = context.Background()
