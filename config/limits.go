package config

// Effective returns the limits as they are to be kept. Where the profile is "off", for load tests, that lifts what a
// test machine, a single address with many accounts, runs into: the rates, the limits per address and those on logins.
// What is lifted is 0, and 0 means that there is no limit. Sizes, depths, counts within a stanza, timeouts, queues and what one
// account may have are kept in every profile: they are what keeps memory bounded.
func (l Limits) Effective() Limits {
	if l.Profile != "off" {
		return l
	}
	l.RateC2S, l.BurstC2S, l.RateS2S, l.BurstS2S = 0, 0, 0, 0
	l.ConnsPerAddress, l.ConnsPerMinute, l.ConnsPreauth = 0, 0, 0
	l.AuthTries, l.AuthFailsPerMinute, l.AuthFailsPerDay = 0, 0, 0
	l.AuthDelay, l.AuthDelayMax = 0, 0
	return l
}

// check checks that no limit makes the server useless or, unawares, unlimited.
func (l *Limits) check(errs *Errors) {
	oneOf(errs, "limits.profile", l.Profile, []string{"default", "off"})

	sizes := []struct {
		key   string
		least Size
		is    Size
		why   string
	}{
		{"stanza_size_preauth", 10000, l.StanzaPreauth, " (RFC 6120 §13.12)"},
		{"stanza_size_c2s", 10000, l.StanzaC2S, " (RFC 6120 §13.12)"},
		{"stanza_size_s2s", 10000, l.StanzaS2S, " (RFC 6120 §13.12)"},
		{"name_size", 64, l.NameSize, ""},
		{"attribute_size", 3071, l.AttributeSize, ": the longest address (RFC 7622 §3.1)"},
		{"write_buffer", 10000, l.WriteBuffer, ""},
		{"sm_queue_size", 10000, l.SMQueueSize, ""},
		{"s2s_queue_size", 10000, l.S2SQueueSize, ""},
	}
	for _, s := range sizes {
		if s.is < s.least {
			errs.Add("limits."+s.key, "must be at least %d bytes%s, is %d", s.least, s.why, s.is)
		}
	}

	counts := []struct {
		key   string
		least int
		is    int
	}{
		{"elements_preauth", 8, l.ElementsPreauth}, {"elements", 32, l.Elements},
		{"depth_preauth", 4, l.DepthPreauth}, {"depth", 8, l.Depth},
		{"attributes", 8, l.Attributes}, {"namespaces", 4, l.Namespaces},
		{"auth_tries", 0, l.AuthTries}, {"auth_failures_per_minute", 0, l.AuthFailsPerMinute},
		{"auth_failures_per_day", 0, l.AuthFailsPerDay},
		{"connections_per_address", 0, l.ConnsPerAddress}, {"connections_per_minute", 0, l.ConnsPerMinute},
		{"connections_preauth", 0, l.ConnsPreauth},
		{"resources_per_account", 1, l.Resources}, {"hibernated_per_account", 0, l.Hibernated},
		{"sm_queue", 1, l.SMQueue}, {"s2s_queue", 1, l.S2SQueue}, {"s2s_routes", 1, l.S2SRoutes},
		{"s2s_streams", 0, l.S2SStreams}, {"dialback_pending", 1, l.DialbackPending}, {"offline_messages", 0, l.OfflineCount}, {"roster_items", 0, l.RosterItems},
	}
	for _, n := range counts {
		if n.is < n.least {
			errs.Add("limits."+n.key, "must be at least %d, is %d", n.least, n.is)
		}
	}

	for _, d := range []struct {
		key string
		is  Duration
	}{
		{"handshake_timeout", l.HandshakeTimeout}, {"login_timeout", l.LoginTimeout},
		{"idle_timeout_c2s", l.IdleTimeoutC2S}, {"idle_timeout_s2s", l.IdleTimeoutS2S},
		{"stanza_timeout", l.StanzaTimeout}, {"write_timeout", l.WriteTimeout},
		{"dialback_timeout", l.DialbackTimeout},
	} {
		if d.is < seconds {
			errs.Add("limits."+d.key, `must be at least "1s", is %q`, d.is)
		}
	}
	if l.PingAfter >= l.IdleTimeoutC2S {
		errs.Add("limits.ping_after", "must be shorter than limits.idle_timeout_c2s, which is %q, is %q", l.IdleTimeoutC2S, l.PingAfter)
	}
	if l.AuthDelayMax < l.AuthDelay {
		errs.Add("limits.auth_delay_max", "must not be shorter than limits.auth_delay, which is %q, is %q", l.AuthDelay, l.AuthDelayMax)
	}
	for _, r := range []struct {
		key         string
		rate, burst Size
	}{{"burst_c2s", l.RateC2S, l.BurstC2S}, {"burst_s2s", l.RateS2S, l.BurstS2S}} {
		if r.rate > 0 && r.burst < 1000 {
			errs.Add("limits."+r.key, "must be at least 1000 bytes where a rate is set, is %d", r.burst)
		}
	}
}
