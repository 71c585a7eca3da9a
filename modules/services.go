package modules

import (
	"net/netip"
	"strings"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/stanza"
)

// Service is a subdomain of a host that a module serves.
type Service struct {
	Name   string // what people call it; may be empty
	Handle PacketHandler
}

// services is a section that tells which subdomains its module serves.
type services interface {
	Services(host string) []string
}

// Subdomain returns the domain of a service of a host, label.host, prepared as those of a stanza.JID are; empty where there is
// none, for label is not the beginning of a domain, or the host is an address.
func Subdomain(label, host string) string {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ""
	}
	j, err := stanza.NewJID("", label+"."+host, "")
	if err != nil || !below(j.Domain(), host) {
		return ""
	}
	return j.Domain()
}

// below tells whether a domain is prepared, and a subdomain of a host.
func below(domain, host string) bool {
	j, err := stanza.NewJID("", domain, "")
	return err == nil && j.Domain() == domain && strings.HasSuffix(domain, "."+host) && len(domain) > len(host)+1
}

// Served is a subdomain that the configuration has a module serve.
type Served struct{ Domain, Host, Module string }

// ServedBy lists the subdomains that a configuration has modules serve, hosts in the order of the file, modules in theirs. It
// asks the sections (Info.Services) and starts nothing.
func ServedBy(all []Info, cfg *config.Config) (out []Served) {
	for _, host := range cfg.General.Hosts {
		for i, st := range Wanted(all, cfg, host) {
			if !st.On || all[i].Services == nil {
				continue
			}
			n, _ := cfg.Module(host, st.Name)
			for _, d := range all[i].Services(n, host) {
				out = append(out, Served{d, host, st.Name})
			}
		}
	}
	return out
}

// Sections lists the sections of modules, for config.Load. Those of modules that serve subdomains find out, too, whether anybody
// else has the same name.
func Sections(all []Info) []config.Section {
	out := make([]config.Section, len(all))
	for i, in := range all {
		out[i] = in.Section
		if in.Services != nil {
			out[i].Across = func(cfg *config.Config, errs *config.Errors) {
				if in.CheckFile != nil {
					in.CheckFile(cfg, errs)
				}
				checkServices(all, in.Name, cfg, errs)
			}
		}
	}
	return out
}

// checkServices looks for others who have a name that a module serves: virtual hosts, and modules, itself on another host
// included. Of two modules the one that comes later is told.
func checkServices(all []Info, module string, cfg *config.Config, errs *config.Errors) {
	owner := map[string]string{}
	for _, host := range cfg.General.Hosts {
		owner[host] = "general.hosts names it as a host of its own"
	}
	for _, s := range ServedBy(all, cfg) {
		other, taken := owner[s.Domain]
		if !taken {
			owner[s.Domain] = s.Module + " serves it on " + s.Host
		}
		if s.Module != module {
			continue
		}
		n, _ := cfg.Module(s.Host, module)
		key := ""
		if n == nil { // it is on by default
			key = "modules." + module
		}
		switch {
		case !below(s.Domain, s.Host):
			errs.AddIn(n, key, "%q is no subdomain of %s", s.Domain, s.Host)
		case taken:
			errs.AddIn(n, key, "serves %s for %s, but %s: choose another name, or switch one of them off (disabled_modules)", s.Domain, s.Host, other)
		}
	}
}
