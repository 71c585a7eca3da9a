// Package config is the file that an admin writes: its shape, its defaults, and the words that explain a mistake.
//
// # Implementation notes
//
//   - A file is first read into a tree of Nodes with positions, then decoded field by field with the defaults laid under
//     it, so that every mistake is found in one pass and has a line.
//   - Option names, defaults and their explanation stand in the structs below and nowhere else: doc/config.md and the
//     test of config.example.toml come from the struct tags.
package config

// Config is the whole file.
type Config struct {
	General General `toml:"general"`
	TLS     TLS     `toml:"tls"`
	C2S     C2S     `toml:"c2s"`
	S2S     S2S     `toml:"s2s"`
	Auth    Auth    `toml:"auth"`
	Storage Storage `toml:"storage"`
	Limits  Limits  `toml:"limits"`

	// Modules holds the [modules.NAME] sections, undecoded: the loader decodes each with its module's type.
	Modules map[string]*Node `toml:"modules"`
	// Hosts holds the [[host_config]] sections of the hosts that are served, by host name.
	Hosts map[string]*HostConfig `toml:"-"`
	// Warnings is what the file says that has no effect, or may not have the one that was meant.
	Warnings []Mistake `toml:"-"`
	// Path is the file that was read, Dir its directory: relative paths are relative to it.
	Path, Dir string `toml:"-"`
}

// General is [general].
type General struct {
	Hosts    []string `toml:"hosts" doc:"the domains that this server is"`
	Admins   []string `toml:"admins" doc:"accounts that may administer the host that they are on from their clients (XEP-0133)"`
	DataDir  string   `toml:"data_dir" doc:"where all data lives; made with mode 0700 if missing"`
	LogLevel string   `toml:"log_level" doc:"debug, info, warn or error"`
}

// TLS is [tls].
type TLS struct {
	Profile       string   `toml:"profile" doc:"modern (TLS 1.3 only), intermediate (1.2 and 1.3) or old (1.2 with older ciphers)"`
	Certificates  string   `toml:"certificates" doc:"directory with HOST.crt and HOST.key, or HOST/fullchain.pem and HOST/privkey.pem; reread when changed"`
	TrustedCAFile string   `toml:"trusted_ca_file" doc:"PEM file of the authorities that may vouch for other servers; empty: the system's"`
	SelfSigned    bool     `toml:"self_signed" doc:"make a certificate for a host that has none (localhost and private use; never for federation)"`
	Curves        []string `toml:"curves" doc:"key exchange: X25519MLKEM768, X25519, P-256, P-384, P-521; empty: as the profile says"`
	DHParam       string   `toml:"dhparam" doc:"PEM file with Diffie-Hellman parameters, read and checked; Go offers no finite-field DHE, so no connection uses them"`
}

// C2S is [c2s], the clients' side.
type C2S struct {
	Listen                    []string `toml:"listen" doc:"addresses for STARTTLS"`
	ListenTLS                 []string `toml:"listen_tls" doc:"addresses for direct TLS (XEP-0368)"`
	RequireEncryption         bool     `toml:"require_encryption" doc:"no login before TLS"`
	AllowUnencryptedPlainAuth bool     `toml:"allow_unencrypted_plain_auth" doc:"offer PLAIN without TLS; only matters where require_encryption is false"`
	SASLMechanisms            []string `toml:"sasl_mechanisms" doc:"the login mechanisms to offer; empty: all that the host's modules offer"`
	ResourceConflict          string   `toml:"resource_conflict" doc:"a second session asks for a resource in use: kick the old one (kick_old), give the new one another name (rename), or refuse it (refuse)"`
	Transport                 string   `toml:"transport" doc:"how a connection with nothing to say is waited for: a goroutine for each (goroutine), or all by one (epoll), which takes less memory and Linux"`
}

// S2S is [s2s], other servers' side.
type S2S struct {
	Listen    []string `toml:"listen" doc:"addresses for STARTTLS"`
	ListenTLS []string `toml:"listen_tls" doc:"addresses for direct TLS (XEP-0368)"`
	S2SPolicy
	Hosts          map[string]OneOrMore `toml:"hosts" doc:"where peers are that DNS does not tell of: domain = \"address:port\", or \"tls://address:port\" for direct TLS, or a list of these, tried in their order"`
	DNSServer      string               `toml:"dns_server" doc:"the DNS server to ask for peers, as \"address:port\"; empty: the system's"`
	ConnectTimeout Duration             `toml:"connect_timeout" doc:"how long to look for a peer's server and connect to it"`
}

// S2SPolicy is the part of [s2s] that a host may have of its own, by [host_config.s2s].
type S2SPolicy struct {
	RequireEncryption bool         `toml:"require_encryption" doc:"no federation without TLS; secure_auth implies it"`
	SecureAuth        bool         `toml:"secure_auth" doc:"peers must show a valid certificate"`
	SecureDomains     []string     `toml:"secure_domains" doc:"peers that must show one even where secure_auth is false; of several entries that fit, in either list, the most exact holds"`
	InsecureDomains   []string     `toml:"insecure_domains" doc:"peers that need not; exact names and \"*.domain\""`
	DefaultPolicy     string       `toml:"default_policy" doc:"allow or deny peers that host_policy does not name"`
	HostPolicy        []HostPolicy `toml:"host_policy" doc:"whom to federate with; the most exact entry holds"`
}

// HostPolicy is an entry of s2s.host_policy.
type HostPolicy struct {
	Host   string `toml:"host,required" doc:"a domain, or \"*.domain\" for those under it"`
	Policy string `toml:"policy,required" doc:"allow or deny"`
}

// Auth is [auth].
type Auth struct {
	SCRAMHashes     []string `toml:"scram_hashes" doc:"for which hashes a password is stored"`
	SCRAMIterations int      `toml:"scram_iterations" doc:"PBKDF2 rounds for passwords set from now on"`
}

// Storage is [storage].
type Storage struct {
	Driver string `toml:"driver" doc:"bolt, or memory for tests: everything is gone at the end"`
}

// Limits is [limits], defaults from part 2 of the limits page. The names say the unit where there is one.
type Limits struct {
	Profile string `toml:"profile" doc:"default, or off for load tests: lifts rates, per-address and login limits, keeps sizes and depths"`

	StanzaPreauth   Size `toml:"stanza_size_preauth" doc:"largest element before login"`
	StanzaC2S       Size `toml:"stanza_size_c2s" doc:"largest stanza of a client"`
	StanzaS2S       Size `toml:"stanza_size_s2s" doc:"largest stanza of another server"`
	ElementsPreauth int  `toml:"elements_preauth" doc:"elements in one stanza before login"`
	Elements        int  `toml:"elements" doc:"elements in one stanza"`
	DepthPreauth    int  `toml:"depth_preauth" doc:"nesting before login"`
	Depth           int  `toml:"depth" doc:"nesting of a stanza"`
	Attributes      int  `toml:"attributes" doc:"attributes of one element"`
	Namespaces      int  `toml:"namespaces" doc:"namespace declarations of one element"`
	NameSize        Size `toml:"name_size" doc:"longest name of an element or attribute"`
	AttributeSize   Size `toml:"attribute_size" doc:"longest value of an attribute"`

	HandshakeTimeout Duration `toml:"handshake_timeout" doc:"from connection to TLS"`
	LoginTimeout     Duration `toml:"login_timeout" doc:"from connection to login"`
	IdleTimeoutC2S   Duration `toml:"idle_timeout_c2s" doc:"a client that says nothing this long is gone"`
	IdleTimeoutS2S   Duration `toml:"idle_timeout_s2s" doc:"a server stream without a stanza is closed"`
	PingAfter        Duration `toml:"ping_after" doc:"a silent client is asked for a sign of life; 0: never"`
	StanzaTimeout    Duration `toml:"stanza_timeout" doc:"from a stanza's first byte to its last"`
	WriteTimeout     Duration `toml:"write_timeout" doc:"a peer that takes nothing this long is gone"`
	WriteBuffer      Size     `toml:"write_buffer" doc:"what may wait for a peer that reads slowly"`

	RateC2S  Size `toml:"rate_c2s" doc:"bytes a second that a client may send in the long run; reading slows down beyond it; 0: no limit"`
	BurstC2S Size `toml:"burst_c2s" doc:"bytes that a client may send at once"`
	RateS2S  Size `toml:"rate_s2s" doc:"as rate_c2s, for a server stream"`
	BurstS2S Size `toml:"burst_s2s" doc:"as burst_c2s, for a server stream"`

	AuthTries          int      `toml:"auth_tries" doc:"failed logins on one connection before it ends; 0: no limit"`
	AuthFailsPerMinute int      `toml:"auth_failures_per_minute" doc:"failed logins of one address (an IPv6 /64) a minute before it has to wait; 0: no limit"`
	AuthFailsPerDay    int      `toml:"auth_failures_per_day" doc:"failed logins of one address a day before it has to wait; 0: no limit"`
	AuthDelay          Duration `toml:"auth_delay" doc:"the first wait; it doubles with each failure"`
	AuthDelayMax       Duration `toml:"auth_delay_max" doc:"the longest wait"`

	ConnsPerAddress int `toml:"connections_per_address" doc:"open connections of one address (an IPv6 /64); 0: no limit"`
	ConnsPerMinute  int `toml:"connections_per_minute" doc:"new connections of one address a minute; 0: no limit"`
	ConnsPreauth    int `toml:"connections_preauth" doc:"connections that have not logged in; beyond it the oldest goes; 0: no limit"`
	Resources       int `toml:"resources_per_account" doc:"sessions of one account"`
	Hibernated      int `toml:"hibernated_per_account" doc:"of these, sessions that wait to be resumed; 0: none"`

	SMQueue      int      `toml:"sm_queue" doc:"stanzas kept for a client until it acknowledges them"`
	SMQueueSize  Size     `toml:"sm_queue_size" doc:"the same in bytes"`
	SMResume     Duration `toml:"sm_resume_timeout" doc:"how long a session waits to be resumed; 0: not at all"`
	S2SQueue     int      `toml:"s2s_queue" doc:"stanzas that may wait for one other server"`
	S2SQueueSize Size     `toml:"s2s_queue_size" doc:"the same in bytes, with those that it has not acknowledged"`
	S2SQueueTime Duration `toml:"s2s_queue_time" doc:"how long one that was sent and not acknowledged is sent again; then its sender is told"`
	S2SRoutes    int      `toml:"s2s_routes" doc:"pairs of a domain of ours and another server's that stanzas wait or go out for"`
	S2SStreams   int      `toml:"s2s_streams" doc:"streams that the servers of one domain may open; 0: no limit"`

	DialbackPending int      `toml:"dialback_pending" doc:"dialback keys of one stream that are verified at once"`
	DialbackTimeout Duration `toml:"dialback_timeout" doc:"how long the verification of one takes"`

	OfflineCount int  `toml:"offline_messages" doc:"messages kept for an account that is offline; 0: none"`
	OfflineSize  Size `toml:"offline_size" doc:"the same in bytes"`
	RosterItems  int  `toml:"roster_items" doc:"contacts of one account"`
}

// HostConfig is a [[host_config]] section.
type HostConfig struct {
	Host            string           `toml:"host,required" doc:"the host that the section is for, one of general.hosts"`
	DisabledModules []string         `toml:"disabled_modules" doc:"modules that this host does not have"`
	Modules         map[string]*Node `toml:"modules" doc:"the host's own [modules.NAME] sections, laid over the global ones key by key"`
	S2S             *Node            `toml:"s2s" doc:"the host's own of [s2s], laid over it key by key: require_encryption, secure_auth, secure_domains, insecure_domains, default_policy and host_policy"`
	Line            int              `toml:"-"`

	policy *S2SPolicy // S2S laid over the global one
}

// Section is what the loader needs to know of a module: its section's name and its type.
type Section struct {
	Name     string // mod_roster
	Defaults any    // a struct with toml and doc tags, holding the defaults
	// Check decodes and checks a section without keeping it; mistakes go to errs.
	Check func(n *Node, errs *Errors)
	// Across, if set, looks at what the hosts' sections say together; mistakes go to errs by AddIn.
	Across func(c *Config, errs *Errors)
}
