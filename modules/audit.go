package modules

import "crypto/tls"

// Audit returns what an audit line says of the session that did something, as pairs for slog: where it comes from and how it
// logged in. Lines of what others do, such as the admin, say by instead.
func Audit(s Session) []any {
	in := s.Info()
	remote, version := "", "none"
	if in.Remote != nil {
		remote = in.Remote.String()
	}
	if in.TLS != nil {
		version = tls.VersionName(in.TLS.Version)
	}
	return []any{"id", s.ID(), "remote", remote, "mechanism", in.Mechanism, "tls", version}
}
