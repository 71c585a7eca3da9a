package storage

import (
	"sync"
	"time"
)

// Later gathers small writes that nobody was promised, such as when an account was last seen, and makes one of many: a
// commit for each would cost more than all the rest of a login. What is gathered is written within the delay and at Close;
// a crash loses it. Methods may be called from any goroutine.
type Later[K comparable, V any] struct {
	delay time.Duration
	write func(map[K]V)

	turn chan struct{} // of capacity 1: full while somebody writes

	mu      sync.Mutex
	waiting map[K]V
	writing map[K]V // with write just now
	timer   *time.Timer
	closed  bool
}

// laterMost is how many keys are gathered at most: a transaction is short.
const laterMost = 256

// NewLater returns a Later that hands what it gathered to write, which deals with its errors. write is not called twice at
// once, nor after Close but by those who still Put.
func NewLater[K comparable, V any](delay time.Duration, write func(map[K]V)) *Later[K, V] {
	return &Later[K, V]{delay: delay, write: write, turn: make(chan struct{}, 1)}
}

// Put notes a key's new value.
func (l *Later[K, V]) Put(key K, value V) {
	l.mu.Lock()
	if l.waiting == nil {
		l.waiting = make(map[K]V)
	}
	l.waiting[key] = value
	now := l.closed
	switch {
	case now:
	case l.timer == nil:
		l.timer = time.AfterFunc(l.delay, l.Flush)
	case len(l.waiting) == laterMost:
		l.timer.Reset(0)
	}
	l.mu.Unlock()
	if now {
		l.Flush()
	}
}

// Get returns what is not written yet. Whoever reads both asks here first and then the store, so as not to miss what is
// written in between.
func (l *Later[K, V]) Get(key K) (value V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if value, ok = l.waiting[key]; !ok {
		value, ok = l.writing[key]
	}
	return value, ok
}

// Forget drops a key's value. After its return none is written that was put before.
func (l *Later[K, V]) Forget(key K) {
	l.mu.Lock()
	delete(l.waiting, key)
	_, busy := l.writing[key]
	l.mu.Unlock()
	if busy {
		l.turn <- struct{}{}
		<-l.turn
	}
}

// Flush writes what was put before.
func (l *Later[K, V]) Flush() {
	l.turn <- struct{}{}
	defer func() { <-l.turn }()
	l.mu.Lock()
	l.waiting, l.writing = nil, l.waiting
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	m := l.writing
	l.mu.Unlock()
	if len(m) > 0 {
		l.write(m)
	}
	l.mu.Lock()
	l.writing = nil
	l.mu.Unlock()
}

// Close writes what was put before. What is put after it is written at once.
func (l *Later[K, V]) Close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.Flush()
}
