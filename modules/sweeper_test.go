package modules

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		new(Sweeper).Stop() // was not started
		var s Sweeper
		begin := time.Now()
		var swept []time.Duration
		var last context.Context
		s.Start(time.Hour, func(ctx context.Context) {
			swept, last = append(swept, time.Since(begin)), ctx
			if len(swept) == 3 {
				<-ctx.Done() // a long one
			}
		})
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(swept) != 3 || swept[0] != sweepFirst || swept[1] != sweepFirst+time.Hour || last.Err() != nil {
			t.Errorf("swept after %v", swept)
		}
		s.Stop()
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if len(swept) != 3 || last.Err() == nil {
			t.Errorf("swept after %v, stopped: %v", swept, last.Err())
		}
	})
}
