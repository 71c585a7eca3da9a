package modules

import (
	"crypto/tls"
	"net"

	"github.com/xmppd/xmppd/auth"
)

// Audit returns what an audit line says of the session that did something, as pairs for slog: where it comes from and how it
// logged in. Lines of what others do, such as the admin, say by instead.
func Audit(s Session) []any {
	in := s.Info()
	return append([]any{"id", s.ID()}, whence(in.Remote, in.Mechanism, in.TLS)...)
}

// AuditLogin is Audit for what is done in the course of a login, where there is no session yet.
func AuditLogin(c *auth.Conn, mechanism string) []any { return whence(c.Remote, mechanism, c.TLS) }

func whence(remote net.Addr, mechanism string, cs *tls.ConnectionState) []any {
	address, version := "", "none"
	if remote != nil {
		address = remote.String()
	}
	if cs != nil {
		version = tls.VersionName(cs.Version)
	}
	return []any{"remote", address, "mechanism", mechanism, "tls", version}
}
