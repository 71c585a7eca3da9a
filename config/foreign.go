package config

import (
	"reflect"
	"regexp"
	"strings"
)

// hint is what an admin of another server is told about a key that he knows from there.
type hint struct {
	n    *Node
	text string
}

// foreign returns what to say of an unknown key, or nothing. A table may hold several keys with words of their own.
func foreign(n *Node) (hints []hint) {
	for _, k := range n.Order {
		if entry, ok := foreignPaths[n.Keys[k].Path]; ok {
			hints = append(hints, hint{n.Keys[k], foreignSentence(entry)})
		}
	}
	if text := foreignText(n.Path); len(hints) == 0 && text != "" {
		hints = append(hints, hint{n, text})
	}
	return hints
}

// foreignText looks a path up: whole, as Prosody's flat name, or as a section that is not set per host.
func foreignText(path string) string {
	if text, ok := foreignPaths[path]; ok {
		return foreignSentence(text)
	}
	name := path[strings.LastIndexAny(path, ". ")+1:]
	if text, ok := foreignNames[name]; ok {
		return foreignSentence(text)
	}
	if rest, ok := strings.CutPrefix(path, hostConfigKey); ok && strings.HasSuffix(rest, `" `+name) {
		for _, s := range coreSections() {
			if s.Name == name {
				return "xmppd sets [" + name + "] for all hosts alike"
			}
		}
	}
	if strings.HasPrefix(path, hostConfigKey) && strings.HasSuffix(path, `" s2s.`+name) && fieldsOf(reflect.TypeFor[S2S]()).find(name) != nil {
		return "xmppd sets s2s." + name + " for all hosts alike"
	}
	return ""
}

// foreignSentence writes an entry of the tables below: names of options, or a sentence where it begins with a !.
func foreignSentence(entry string) string {
	if text, ok := strings.CutPrefix(entry, "!"); ok {
		return text
	}
	return "in xmppd this is " + entry
}

var leadingWord = regexp.MustCompile(`^\s*([A-Za-z_][A-Za-z0-9_]*)`)

// foreignLine adds to the message about a line that is no TOML what it may have been meant to be.
func foreignLine(line string) string {
	if strings.HasPrefix(strings.TrimSpace(line), "--") {
		return "; a comment begins with #"
	}
	if m := leadingWord.FindStringSubmatch(line); m != nil {
		if text, ok := foreignNames[m[1]]; ok {
			return "; " + foreignSentence(text)
		}
	}
	return ""
}

// foreignNames are Prosody's options, which stand outside of any section. Where xmppd has an option of that name, that
// one is known in its own section and never looked up here.
var foreignNames = map[string]string{
	"VirtualHost":      "general.hosts, with [[host_config]] for what one host has of its own",
	"Component":        "!in xmppd a module serves its own subdomain: [modules.mod_x]",
	"modules_enabled":  "a section [modules.mod_x] for each module",
	"modules_disabled": "disabled_modules in [[host_config]]",
	"admins":           "general.admins",
	"authentication":   "!passwords are always kept as SCRAM keys; other ways to log in are modules",
	"storage":          "storage.driver",
	"default_storage":  "storage.driver",
	"sql":              "storage.driver",
	"log":              "general.log_level",
	"data_path":        "general.data_dir",
	"pidfile":          "!xmppd runs in the foreground and writes no pid file",
	"daemonize":        "!xmppd runs in the foreground: the service manager does the rest",
	"plugin_paths":     "!all modules are part of the program",
	"umask":            "!all data is made readable for its owner alone",

	"certificates": "tls.certificates",
	"certificate":  "tls.certificates",
	"ssl":          "tls.certificates, tls.profile and tls.dhparam",
	"c2s_ssl":      "tls.certificates, tls.profile and tls.dhparam",
	"s2s_ssl":      "tls.certificates, tls.profile and tls.dhparam",
	"tls_profile":  "tls.profile",
	"dhparam":      "tls.dhparam",
	"ciphers":      "tls.profile",
	"cafile":       "tls.trusted_ca_file",
	"capath":       "tls.trusted_ca_file",

	"c2s_ports":                      "c2s.listen",
	"c2s_interfaces":                 "c2s.listen",
	"interfaces":                     "c2s.listen and s2s.listen",
	"local_interfaces":               "c2s.listen and s2s.listen",
	"c2s_direct_tls_ports":           "c2s.listen_tls",
	"c2s_direct_tls_interfaces":      "c2s.listen_tls",
	"legacy_ssl_ports":               "c2s.listen_tls",
	"legacy_ssl_interfaces":          "c2s.listen_tls",
	"c2s_require_encryption":         "c2s.require_encryption",
	"insecure_sasl_mechanisms":       "c2s.allow_unencrypted_plain_auth",
	"disable_sasl_mechanisms":        "c2s.sasl_mechanisms, which lists those to offer",
	"c2s_timeout":                    "limits.login_timeout",
	"c2s_idle_timeout":               "limits.idle_timeout_c2s",
	"c2s_stanza_size_limit":          "limits.stanza_size_c2s",
	"conflict_resolve":               "c2s.resource_conflict",
	"smacks_hibernation_time":        "limits.sm_resume_timeout",
	"smacks_max_queue_size":          "limits.sm_queue",
	"smacks_max_hibernated_sessions": "limits.hibernated_per_account",
	"smacks_max_old_sessions":        "limits.hibernated_per_account",

	"s2s_ports":                 "s2s.listen",
	"s2s_interfaces":            "s2s.listen",
	"s2s_direct_tls_ports":      "s2s.listen_tls",
	"s2s_direct_tls_interfaces": "s2s.listen_tls",
	"s2s_require_encryption":    "s2s.require_encryption",
	"s2s_secure_auth":           "s2s.secure_auth",
	"s2s_secure_domains":        "s2s.secure_domains",
	"s2s_insecure_domains":      "s2s.insecure_domains",
	"s2s_whitelist":             `s2s.host_policy, with s2s.default_policy = "deny"`,
	"s2s_blacklist":             "s2s.host_policy",
	"s2s_timeout":               "limits.login_timeout",
	"s2s_idle_timeout":          "limits.idle_timeout_s2s",
	"s2s_stanza_size_limit":     "limits.stanza_size_s2s",

	"password_hash":                     "auth.scram_hashes",
	"default_iteration_count":           "auth.scram_iterations",
	"allow_registration":                "modules.mod_register.allow_registration",
	"min_seconds_between_registrations": "modules.mod_register.registrations_per_hour",
	"contact_info":                      "[modules.mod_contacts]",
	"otp_seed":                          "modules.mod_auth_token.otp_seed",
	"token_secret":                      "modules.mod_auth_token.token_secret",
	"sasl2_fast_token_ttl":              "modules.mod_sasl2_fast.sasl2_fast_token_ttl",
	"sasl2_fast_token_min_ttl":          "modules.mod_sasl2_fast.sasl2_fast_token_min_ttl",
}

// foreignPaths are MongooseIM's options, and Prosody's limits, which have sections.
var foreignPaths = map[string]string{
	"general.default_server_domain": "general.hosts: its first entry",
	"general.host_types":            "general.hosts",
	"general.loglevel":              "general.log_level",
	"general.registration_timeout":  "[modules.mod_register]",
	"general.http_server_name":      "!xmppd has no HTTP server in this version",

	"listen":           "c2s.listen, c2s.listen_tls, s2s.listen and s2s.listen_tls",
	"listen.c2s":       "c2s.listen, and c2s.listen_tls for direct TLS",
	"listen.s2s":       "s2s.listen, and s2s.listen_tls for direct TLS",
	"listen.http":      "!xmppd has no HTTP server in this version",
	"listen.component": "!xmppd takes no components in this version",
	"listen.service":   "!xmppd takes no components in this version",

	"auth.methods":         "!passwords are always kept as SCRAM keys; other ways to log in are modules",
	"auth.internal":        "!accounts are kept in [storage]",
	"auth.rdbms":           "!accounts are kept in [storage]",
	"auth.password":        "auth.scram_hashes",
	"auth.password.hash":   "auth.scram_hashes",
	"auth.password.format": "!passwords are always kept as SCRAM keys",
	"auth.sasl_mechanisms": "c2s.sasl_mechanisms",
	"auth.sasl_external":   "[modules.mod_client_certs]",
	"auth.anonymous":       "!xmppd has no anonymous accounts in this version",

	"s2s.use_starttls":    "s2s.require_encryption",
	"s2s.certfile":        "tls.certificates",
	"s2s.cafile":          "tls.trusted_ca_file",
	"s2s.ciphers":         "tls.profile",
	"s2s.domain_certfile": "tls.certificates",
	"s2s.shared":          "!xmppd makes its dialback secret by itself",
	"s2s.outgoing":        "s2s.hosts, s2s.dns_server and s2s.connect_timeout",
	"s2s.outgoing.tls":    "s2s.require_encryption",
	"s2s.outgoing.port":   "!xmppd finds the ports of other servers in their DNS, or in s2s.hosts",
	"s2s.address":         "s2s.hosts",
	"s2s.timeout":         "limits.login_timeout",
	"s2s.max_retry_delay": "!xmppd has no such option: it tries again when there is something to send",
	"s2s.dns":             "s2s.dns_server",

	"limits.c2s":         "limits.rate_c2s and limits.burst_c2s",
	"limits.s2s":         "limits.rate_s2s and limits.burst_s2s",
	"limits.s2sin":       "limits.rate_s2s and limits.burst_s2s",
	"limits.s2sout":      "limits.rate_s2s and limits.burst_s2s",
	"shaper":             "limits.rate_c2s, limits.rate_s2s and their bursts",
	"acl":                "!xmppd has no access lists: see [limits] and the modules",
	"access":             "!xmppd has no access rules: see [limits] and the modules",
	"outgoing_pools":     "storage.driver",
	"internal_databases": "storage.driver",
	"services":           "!xmppd has no services: what they do are modules",
	"instrumentation":    "!xmppd has no exporters in this version",
}
