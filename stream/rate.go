package stream

import "time"

// Reading beyond the rate is not an offence and loses nothing: the connection is simply not read for a while, and TCP
// tells the peer. Tokens are bytes.

// pauseTime is about how long a reader pauses at a time; it bounds how long closing waits for it.
const pauseTime = 250 * time.Millisecond

// ration returns how many of n bytes may be read now, at least one, after a pause where there are none.
func (c *Conn) ration(n int) (int, error) {
	for {
		lim := c.lim.Load()
		if lim.rate <= 0 {
			return n, nil
		}
		now := time.Now()
		full := float64(max(lim.burst, 1))
		if c.rated != lim {
			c.rated, c.tokens = lim, full
		} else {
			c.tokens = min(full, c.tokens+time.Duration(at(now)-c.counted).Seconds()*float64(lim.rate))
		}
		c.counted = at(now)
		if c.tokens >= 1 {
			return min(n, int(c.tokens)), nil
		}
		// Not for the first byte alone: a pause ends when there is something worth reading.
		want := min(full, max(1, float64(lim.rate)*pauseTime.Seconds()))
		pause := time.Duration((want - c.tokens) / float64(lim.rate) * float64(time.Second))
		pause = min(max(pause, time.Millisecond), pauseTime)
		if c.stanzaBy != 0 {
			c.stanzaBy += instant(pause) // it is us who do not read
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-c.Done():
			t.Stop()
		}
		if c.closing.Load() {
			return 0, c.why(ErrClosed)
		}
	}
}
