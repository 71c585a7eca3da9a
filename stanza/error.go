package stanza

import "strconv"

// ErrorType is the type attribute of <error/> (RFC 6120 §8.3.2).
type ErrorType string

// The error types.
const (
	Auth     ErrorType = "auth"
	Cancel   ErrorType = "cancel"
	Continue ErrorType = "continue"
	Modify   ErrorType = "modify"
	Wait     ErrorType = "wait"
)

// Condition is a defined condition of RFC 6120 §8.3.3.
type Condition string

// The defined conditions, RFC 6120 §8.3.3.1 to §8.3.3.22.
const (
	BadRequest            Condition = "bad-request"
	Conflict              Condition = "conflict"
	FeatureNotImplemented Condition = "feature-not-implemented"
	Forbidden             Condition = "forbidden"
	Gone                  Condition = "gone"
	InternalServerError   Condition = "internal-server-error"
	ItemNotFound          Condition = "item-not-found"
	JIDMalformed          Condition = "jid-malformed"
	NotAcceptable         Condition = "not-acceptable"
	NotAllowed            Condition = "not-allowed"
	NotAuthorized         Condition = "not-authorized"
	PolicyViolation       Condition = "policy-violation"
	RecipientUnavailable  Condition = "recipient-unavailable"
	Redirect              Condition = "redirect"
	RegistrationRequired  Condition = "registration-required"
	RemoteServerNotFound  Condition = "remote-server-not-found"
	RemoteServerTimeout   Condition = "remote-server-timeout"
	ResourceConstraint    Condition = "resource-constraint"
	ServiceUnavailable    Condition = "service-unavailable"
	SubscriptionRequired  Condition = "subscription-required"
	UndefinedCondition    Condition = "undefined-condition"
	UnexpectedRequest     Condition = "unexpected-request"
)

// Error is a stanza error: a Go error that already is the answer on the wire.
type Error struct {
	Type      ErrorType
	Condition Condition
	Text      string // for people, English; may be empty
	App       []byte // application-specific condition, well-formed XML; may be nil
	By        JID    // who says so; may be zero
	Code      int    // of XEP-0086, for clients that read nothing else; 0: none
}

// Err makes an error with the type that RFC 6120 §8.3.3 associates with the condition.
func Err(c Condition, text string) *Error {
	return &Error{Type: defaultType[c], Condition: c, Text: text}
}

// Error makes *Error a Go error.
func (e *Error) Error() string {
	if e.Text == "" {
		return string(e.Condition)
	}
	return string(e.Condition) + ": " + e.Text
}

// AppendTo appends <error/> as XML (RFC 6120 §8.3.2). What is not set gets a value: cancel, undefined-condition.
func (e *Error) AppendTo(dst []byte) []byte {
	typ, cond := e.Type, e.Condition
	if cond == "" {
		cond = UndefinedCondition
	}
	if typ == "" {
		typ = defaultType[cond]
	}
	if typ == "" {
		typ = Cancel
	}
	dst = appendAttr(append(dst, "<error"...), "type", string(typ))
	if e.Code != 0 {
		dst = appendAttr(dst, "code", strconv.Itoa(e.Code))
	}
	if !e.By.IsZero() {
		dst = append(e.By.appendEscaped(append(dst, " by='"...)), '\'')
	}
	dst = append(append(append(dst, "><"...), cond...), " xmlns='"+NSStanzas+"'/>"...)
	if e.Text != "" {
		dst = append(dst, "<text xmlns='"+NSStanzas+"' xml:lang='en'>"...)
		dst = append(appendText(dst, e.Text), "</text>"...)
	}
	return append(append(dst, e.App...), "</error>"...)
}

// StanzaError returns the <error/> of a stanza of TypeError, or nil. One without a condition that RFC 6120 defines is an
// undefined-condition.
func (s *Stanza) StanzaError() *Error {
	if s.Type != TypeError {
		return nil
	}
	i := s.Find("", "error")
	if i < 0 {
		return nil
	}
	el := s.Element(i)
	e := &Error{Type: ErrorType(el.Attr("type")), Condition: UndefinedCondition}
	if by, err := ParseJID(el.Attr("by")); err == nil {
		e.By = by
	}
	for _, c := range el.Children {
		switch {
		case c.NS != NSStanzas:
			if e.App == nil {
				e.App = c.AppendTo(nil, el.NS)
			}
		case c.Name == "text":
			e.Text = c.Text
		case defaultType[Condition(c.Name)] != "":
			e.Condition = Condition(c.Name)
		}
	}
	switch e.Type {
	case Auth, Cancel, Continue, Modify, Wait:
	default:
		e.Type = defaultType[e.Condition]
	}
	return e
}

var defaultType = map[Condition]ErrorType{
	BadRequest: Modify, Conflict: Cancel, FeatureNotImplemented: Cancel, Forbidden: Auth, Gone: Cancel,
	InternalServerError: Cancel, ItemNotFound: Cancel, JIDMalformed: Modify, NotAcceptable: Modify, NotAllowed: Cancel,
	NotAuthorized: Auth, PolicyViolation: Modify, RecipientUnavailable: Wait, Redirect: Modify,
	RegistrationRequired: Auth, RemoteServerNotFound: Cancel, RemoteServerTimeout: Wait, ResourceConstraint: Wait,
	ServiceUnavailable: Cancel, SubscriptionRequired: Auth, UndefinedCondition: Cancel, UnexpectedRequest: Wait,
}
