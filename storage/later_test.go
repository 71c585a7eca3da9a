package storage_test

import (
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/storage"
)

func TestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []map[string]int
		l := storage.NewLater(time.Second, func(m map[string]int) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, maps.Clone(m))
		})
		check := func(what string, want ...map[string]int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if len(got) != len(want) {
				t.Fatalf("%s: wrote %v, want %v", what, got, want)
			}
			for i := range want {
				if !maps.Equal(got[i], want[i]) {
					t.Errorf("%s: wrote %v, want %v", what, got[i], want[i])
				}
			}
			got = nil
		}
		l.Put("a", 1)
		l.Put("b", 2)
		l.Put("a", 3)
		if v, ok := l.Get("a"); v != 3 || !ok {
			t.Errorf("a is %d, %v", v, ok)
		}
		time.Sleep(999 * time.Millisecond)
		check("too early")
		time.Sleep(time.Millisecond)
		check("the newest of each", map[string]int{"a": 3, "b": 2})
		if _, ok := l.Get("a"); ok {
			t.Error("what was written is still here")
		}
		time.Sleep(time.Hour)
		check("nothing to write")
		l.Put("a", 4)
		l.Forget("a")
		time.Sleep(time.Second)
		check("forgotten")
		l.Put("a", 5)
		l.Flush()
		check("flushed", map[string]int{"a": 5})
		l.Put("a", 6)
		time.Sleep(999 * time.Millisecond)
		check("the delay begins with what is put")
		l.Close()
		check("closed", map[string]int{"a": 6})
		l.Put("a", 7)
		check("put after the end", map[string]int{"a": 7})
	})
}

// No more is gathered than one transaction should write.
func TestLaterFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		l := storage.NewLater(time.Hour, func(m map[int]int) { n.Add(int64(len(m))) })
		for i := range 255 {
			l.Put(i, i)
		}
		synctest.Wait()
		if n := n.Load(); n != 0 {
			t.Fatalf("%d written at once", n)
		}
		l.Put(255, 255)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if n := n.Load(); n != 256 {
			t.Fatalf("%d written", n)
		}
	})
}

// What is being written can be read, and Forget waits for it: what its caller deletes then does not come back.
func TestLaterForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		enter, leave := make(chan bool), make(chan bool)
		l := storage.NewLater(time.Second, func(map[string]int) { enter <- true; <-leave })
		l.Put("a", 1)
		<-enter
		if v, ok := l.Get("a"); v != 1 || !ok {
			t.Errorf("a is %d, %v", v, ok)
		}
		l.Forget("b") // waits for nobody
		var forgotten atomic.Bool
		go func() { l.Forget("a"); forgotten.Store(true) }()
		synctest.Wait()
		if forgotten.Load() {
			t.Error("Forget did not wait")
		}
		leave <- true
		synctest.Wait()
		if !forgotten.Load() {
			t.Error("Forget still waits")
		}
	})
}
