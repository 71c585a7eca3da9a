package test

import (
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestBruteForce: of 1,000 wrong passwords, or wrong tokens, from one address the server looks at no more than the limits allow,
// while who knows the password logs in from another address as if nothing were happening. The clock only reports: the one bound
// is a second for a login, which takes a few milliseconds.
func TestBruteForce(t *testing.T) {
	for what, g := range map[string]guesser{
		"passwords": {"PLAIN", func() string { return "\x00alice\x00" + rand.Text() }},
		"X-OAUTH tokens": {"X-OAUTH", func() string {
			return sign(randomKey(), "access", "alice@localhost", expiry(time.Hour))
		}},
		"X-TOKEN tokens": {"X-TOKEN", func() string { return "\x00alice\x00" + xToken("alice@localhost", rand.Text(), 0) }},
	} {
		t.Run("A11 "+what, func(t *testing.T) { bruteForce(t, g) })
	}
}

// guesser is how to guess.
type guesser struct {
	mechanism string
	guess     func() string
}

func bruteForce(t *testing.T, g guesser) {
	// The guesser may connect as often as he likes, so that it is the limits of logins that stop him.
	s := xtest.New(t, xtest.Options{Limits: "connections_per_minute = 100000\nconnections_per_address = 1000\nauth_delay = \"10ms\"\nauth_delay_max = \"20ms\"",
		Extra: "[modules.mod_keystore]\nkeys = [{name = \"token_secret\", type = \"ram\"}]\n" + xtokenTOML})
	s.AddUsers("alice@localhost")
	login := func() time.Duration {
		began := time.Now()
		s.Login(t, "alice@localhost/r", "127.0.0.3").Quit()
		return time.Since(began)
	}
	login() // the first costs PBKDF2
	calm := login()

	var mu sync.Mutex
	verdicts := map[string]int{}
	var guessers sync.WaitGroup
	for range 10 {
		guessers.Go(func() {
			for tries := 0; tries < 100; {
				tries += g.some(t, s, 100-tries, func(v string) { mu.Lock(); verdicts[v]++; mu.Unlock() })
			}
		})
	}
	attacked := make([]time.Duration, 5)
	for i := range attacked {
		attacked[i] = login()
		if attacked[i] > time.Second && !xtest.Race {
			t.Errorf("a login from another address took %v", attacked[i])
		}
	}
	guessers.Wait()
	slowest := calm
	for _, d := range attacked {
		slowest = max(slowest, d)
	}
	t.Logf("of 1,000 guesses: %v; a login took %v before and %v at most meanwhile: %.1f times", verdicts, calm, slowest, float64(slowest)/float64(calm))
	// auth_failures_per_minute is 10; guesses that were looked at while the tenth was written down are at most one for each guesser.
	if looked := verdicts["not-authorized"]; looked == 0 || looked > 20+10 { // the test may last into a second minute
		t.Errorf("%d of 1,000 guesses were looked at, the limit is 10 a minute", looked)
	}
	if verdicts["success"] > 0 {
		t.Error("a wrong guess logged in")
	}
	login()
}

// some makes up to n guesses on one connection, until the server ends it, and returns how many.
func (g guesser) some(t *testing.T, s *xtest.Server, n int, verdict func(string)) (made int) {
	c := s.Secure(t, "localhost", "127.0.0.2")
	defer c.Conn.Close()
	for made < n {
		if c.TrySend("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='"+g.mechanism+"'>"+xtest.B64(g.guess())+"</auth>") != nil {
			return made
		}
		r, err := c.Next()
		if errors.Is(err, xtest.ErrEnd) {
			return made
		}
		if err != nil {
			t.Error(err)
			return n
		}
		if r.Name.Local == "error" { // policy-violation: enough tries on this connection
			return made
		}
		made++
		switch {
		case r.Name.Local == "success":
			verdict("success")
		case len(r.Children) > 0:
			verdict(r.Children[0].Name.Local)
		}
	}
	return made
}
