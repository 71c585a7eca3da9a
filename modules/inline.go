package modules

import (
	"context"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

// UserAgent is what a client says of itself when it logs in (XEP-0388 §2.1). Nobody else is told of it.
type UserAgent struct {
	// Client stands for the installation: a hash of the id that it gave, the same at each login; "" where it gave none.
	Client   string
	Software string
	Device   string
}

// Login is an attempt to log in with SASL2 (XEP-0388), as mechanisms see it by LoginOf, and inline features.
type Login struct {
	Conn    *auth.Conn
	Request *stanza.Element // <authenticate/>
	Agent   UserAgent

	// Identity and PasswordChanged are who is let in, and of what age the account's password was when the credentials were
	// looked at. They are zero while that is not known.
	Identity        auth.Identity
	PasswordChanged time.Time
}

type loginKey struct{}

// WithLogin returns the context in which the mechanisms of a login take their steps.
func WithLogin(ctx context.Context, l *Login) context.Context {
	return context.WithValue(ctx, loginKey{}, l)
}

// LoginOf returns the login of auth.Exchange.Context, or nil where the profile is not SASL2.
func LoginOf(ctx context.Context) *Login { l, _ := ctx.Value(loginKey{}).(*Login); return l }

// Inline is what a client can have done in the same step as its login (XEP-0388 §2.1): Request has what it asked for.
type Inline struct {
	Name string // for logs
	// Feature appends what announces it within <inline/>, or nothing.
	Feature func(dst []byte, c *auth.Conn) []byte
	// Success returns what <success/> says of it, or nil. It is called for each login, asked for or not, when nothing can
	// refuse the client any more and before it has a session.
	Success func(ctx context.Context, l *Login) []byte
}

// InlineBind is a feature of a session that a client can have switched on while it binds its resource (XEP-0386 §3.2).
type InlineBind struct {
	// Var announces the feature, and is the namespace of what asks for it within <bind/>. Empty: clients do not ask.
	Var string
	// Enable does what the client asks for. The session cannot be reached yet; it may turn out that it never will. May be nil.
	Enable func(ctx context.Context, s Session, request *stanza.Element)
	// Bound returns what <bound/> says, or nil. It is called for each bind, asked for or not. Stanzas can be sent to the
	// session by then, and wait until Bound has returned: it must be quick, and send nothing. May be nil.
	Bound func(ctx context.Context, l *Login, full stanza.JID) []byte
}

// Inline offers a feature of logins.
func (h *Host) Inline(f Inline) {
	record(h.reg, "inline feature "+f.Name, func(string) { h.reg.inline = append(h.reg.inline, f) })
}

// InlineBind offers a feature of binding.
func (h *Host) InlineBind(f InlineBind) {
	record(h.reg, "inline feature "+f.Var, func(string) { h.reg.binding = append(h.reg.binding, f) })
}
