package stream

import "sync"

// A Resumer goes on with a parked connection; see Conn.Park.
type Resumer interface{ Resume() }

// crew runs those whose connections have something to read. A goroutine that has run one waits for another: handlers need
// a larger stack than new goroutines have, and to make it grow costs more than the handler. Whoever waited least is next.
type crew struct {
	max     int // how many wait
	mu      sync.Mutex
	waiting []chan Resumer
	closed  bool
}

// maxWaiting is how many goroutines may wait for work, for each processor.
const maxWaiting = 16

// do runs r on another goroutine, at once.
func (w *crew) do(r Resumer) {
	w.mu.Lock()
	n := len(w.waiting)
	if n == 0 {
		w.mu.Unlock()
		go w.work(r)
		return
	}
	ch := w.waiting[n-1]
	w.waiting = w.waiting[:n-1]
	w.mu.Unlock()
	ch <- r
}

func (w *crew) work(r Resumer) {
	ch := make(chan Resumer, 1)
	for r != nil {
		r.Resume()
		w.mu.Lock()
		if w.closed || len(w.waiting) >= w.max {
			w.mu.Unlock()
			return
		}
		w.waiting = append(w.waiting, ch)
		w.mu.Unlock()
		r = <-ch
	}
}

// close sends those home who wait. Work that comes later is still done.
func (w *crew) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	for _, ch := range w.waiting {
		ch <- nil
	}
	w.waiting = nil
}
