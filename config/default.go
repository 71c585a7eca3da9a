package config

import "time"

// Default returns the configuration of an empty file.
func Default() *Config {
	return &Config{
		General: General{Hosts: []string{"localhost"}, Admins: []string{}, DataDir: "data", LogLevel: "info"},
		TLS:     TLS{Profile: "intermediate", Certificates: "certs", SelfSigned: true, Curves: []string{}},
		C2S: C2S{
			Listen: []string{"[::]:5222"}, ListenTLS: []string{"[::]:5223"},
			RequireEncryption: true, SASLMechanisms: []string{}, ResourceConflict: "kick_old", Transport: "goroutine",
		},
		S2S: S2S{
			Listen: []string{"[::]:5269"}, ListenTLS: []string{},
			S2SPolicy: S2SPolicy{
				RequireEncryption: true, SecureAuth: true,
				SecureDomains: []string{}, InsecureDomains: []string{},
				DefaultPolicy: "allow", HostPolicy: []HostPolicy{},
			},
			Hosts: map[string]OneOrMore{}, ConnectTimeout: 30 * seconds,
		},
		Auth:    Auth{SCRAMHashes: []string{"SHA-1", "SHA-256", "SHA-512"}, SCRAMIterations: 10000},
		Storage: Storage{Driver: "bolt"},
		Limits:  defaultLimits(),

		Modules: map[string]*Node{},
		Hosts:   map[string]*HostConfig{},
	}
}

const (
	seconds = Duration(time.Second)
	minutes = Duration(time.Minute)
	kB      = Size(1000)
	kiB     = Size(1 << 10)
	miB     = Size(1 << 20)
)

func defaultLimits() Limits {
	return Limits{
		Profile: "default",

		StanzaPreauth:   10 * kB, // RFC 6120 §13.12: never below
		StanzaC2S:       256 * kiB,
		StanzaS2S:       512 * kiB,
		ElementsPreauth: 32,
		Elements:        10000,
		DepthPreauth:    8,
		Depth:           64,
		Attributes:      64,
		Namespaces:      16,
		NameSize:        256,
		AttributeSize:   64 * kiB,

		HandshakeTimeout: 30 * seconds,
		LoginTimeout:     60 * seconds,
		IdleTimeoutC2S:   15 * minutes,
		IdleTimeoutS2S:   10 * minutes,
		PingAfter:        5 * minutes,
		StanzaTimeout:    120 * seconds,
		WriteTimeout:     30 * seconds,
		WriteBuffer:      1 * miB,

		RateC2S:  10 * kB,
		BurstC2S: 512 * kiB,
		RateS2S:  64 * kB,
		BurstS2S: 2 * miB,

		AuthTries:          4, // RFC 6120 §6.4.5: two to five
		AuthFailsPerMinute: 10,
		AuthFailsPerDay:    100,
		AuthDelay:          1 * seconds,
		AuthDelayMax:       16 * seconds,

		ConnsPerAddress: 64,
		ConnsPerMinute:  120,
		ConnsPreauth:    4096,
		Resources:       10,
		Hibernated:      10,

		SMQueue:     1000,
		SMQueueSize: 4 * miB,
		SMResume:    10 * minutes,

		S2SQueue:     1000,
		S2SQueueSize: 4 * miB,
		S2SQueueTime: 5 * minutes,
		S2SRoutes:    10000,
		S2SStreams:   32,

		DialbackPending: 50,
		DialbackTimeout: 30 * seconds,

		OfflineCount: 1000,
		OfflineSize:  8 * miB,
		RosterItems:  2000,
	}
}
