package modules

import (
	"context"
	"sync"
	"time"
)

// Sweeper clears away from time to time what nobody needs any more. The zero Sweeper is one that was not started.
type Sweeper struct {
	mu    sync.Mutex
	timer *time.Timer
	stops context.CancelFunc
}

// sweepFirst is how long a Sweeper leaves a server alone that has just been started.
const sweepFirst = time.Minute

// Start has sweep called once soon and then again and again, with a context that ends with Stop.
func (s *Sweeper) Start(every time.Duration, sweep func(ctx context.Context)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	s.stops = cancel
	s.timer = time.AfterFunc(sweepFirst, func() {
		sweep(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if ctx.Err() == nil {
			s.timer.Reset(every)
		}
	})
}

// Stop ends it. A sweep that runs is told by its context.
func (s *Sweeper) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.stops()
		s.timer.Stop()
	}
}
