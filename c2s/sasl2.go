package c2s

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const nsSASL2 = "urn:xmpp:sasl:2"

// sasl2 is a login by the profile of XEP-0388.
type sasl2 struct {
	modules.Login
	data  []byte // of the mechanism, for who lets the client in
	tasks []task // still to do, the first one next (XEP-0388 §2.6.3)
}

// sasl2 deals with an element of SASL in the profile of XEP-0388.
func (c *client) sasl2(st *stanza.Stanza) error {
	a := c.n.attempt
	if a != nil && a.two == nil {
		return errBusy // in the other profile
	}
	switch st.Name {
	case "authenticate":
		if a != nil || c.n.tasked {
			return errBusy // XEP-0388 §2.4, §5.7
		}
		return c.authenticate(st)
	case "response":
		switch {
		case a == nil:
			return c.sasl2Fail(nil, "", malformed("a response to nothing"))
		case len(a.two.tasks) > 0:
			return errBusy
		}
		data, f := saslData2(st.Root())
		if f != nil {
			return c.sasl2Fail(a, a.name, f)
		}
		return c.sasl2Step(a, data)
	case "next", "task-data":
		if a == nil || len(a.two.tasks) == 0 {
			return errNoTask
		}
		return c.taskStep(a, st)
	case "abort": // XEP-0388 §5.5
		name := ""
		if a != nil {
			name = a.name
		}
		return c.sasl2Fail(a, name, &auth.Failure{Condition: auth.Aborted})
	}
	if a != nil {
		return errBusy
	}
	return unsupported
}

var errNoTask = &stream.Error{Condition: "policy-violation", Text: "there is no task"}

// authenticate begins a login (XEP-0388 §2.3).
func (c *client) authenticate(st *stanza.Stanza) error {
	name, _ := st.Attr("mechanism")
	a, f := c.begin2(name, st.Root())
	if f != nil {
		if len(name) > 20 { // RFC 4422 §3.1
			name = "" // the client's invention
		}
		return c.sasl2Fail(nil, name, f)
	}
	c.n.attempt = a
	var data []byte
	if r := a.two.Request.Child("", "initial-response"); r != nil {
		if data, f = saslData2(r); f != nil {
			return c.sasl2Fail(a, name, f)
		}
	}
	return c.sasl2Step(a, data)
}

// begin2 starts an attempt as the request asks for.
func (c *client) begin2(name string, request *stanza.Element) (*attempt, *auth.Failure) {
	if c.state&stream.Secure == 0 { // XEP-0388 §4
		return nil, &auth.Failure{Condition: auth.EncryptionRequired}
	}
	agent, f := readAgent(request)
	if f != nil {
		return nil, f
	}
	a, f := c.begin(name, true)
	if f != nil {
		return nil, f
	}
	a.two = &sasl2{Login: modules.Login{Conn: &c.n.conn, Request: request, Agent: agent}}
	turn := a.x.Turn
	a.x.Turn = func() *auth.Failure {
		if f := c.claimed(a); f != nil {
			return f
		}
		return turn()
	}
	return a, nil
}

// claimed compares who tries with whom the stream is from (XEP-0388 §2.3).
func (c *client) claimed(a *attempt) *auth.Failure {
	from := c.n.conn.From
	if from.Local() != "" && from != a.x.Identity().JID.Bare() {
		return &auth.Failure{Condition: auth.InvalidAuthzid, Text: "the stream is from somebody else"}
	}
	return nil
}

// readAgent reads what the client says of itself. The id should be a UUID, but any will do.
func readAgent(request *stanza.Element) (modules.UserAgent, *auth.Failure) {
	e := request.Child("", "user-agent")
	if e == nil {
		return modules.UserAgent{}, nil
	}
	u := modules.UserAgent{Software: label(e.ChildText("software")), Device: label(e.ChildText("device"))}
	switch id := e.Attr("id"); {
	case len(id) > maxAgentID:
		return u, malformed("the id of the user agent is too long")
	case id != "":
		u.Client = clientHash(id)
	}
	return u, nil
}

const maxAgentID = 128

// clientHash is what stands for the id of a user agent, which is nobody else's business.
func clientHash(id string) string {
	sum := sha256.Sum256([]byte("xmppd user agent\x00" + id))
	return hex.EncodeToString(sum[:16])
}

// label makes what a client calls itself fit to be shown: one line of at most 64 characters.
func label(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }), " ")
	if utf8.RuneCountInString(s) > 64 {
		s = string([]rune(s)[:64])
	}
	return s
}

// saslData2 decodes the base64 of an element; one that is empty is an empty message (XEP-0388 §2.2).
func saslData2(e *stanza.Element) ([]byte, *auth.Failure) {
	switch {
	case len(e.Children) > 0:
		return nil, malformed("elements where data should be")
	case strings.ContainsAny(e.Text, "\r\n"): // the decoder would pass over them
		return nil, &auth.Failure{Condition: auth.IncorrectEncoding, Cause: errors.New("line break in base64")}
	}
	b, err := base64.StdEncoding.Strict().DecodeString(e.Text)
	if err != nil {
		return nil, &auth.Failure{Condition: auth.IncorrectEncoding}
	}
	return b, nil
}

// sasl2Step hands a message to the mechanism and answers.
func (c *client) sasl2Step(a *attempt, in []byte) error {
	out, more, f := c.step(a, in)
	if f == nil && !more {
		f = c.claimed(a) // not all mechanisms have asked
	}
	switch {
	case f != nil:
		return c.sasl2Fail(a, a.name, f)
	case more:
		return c.queue(func(dst []byte) []byte {
			dst = append(dst, "<challenge xmlns='"+nsSASL2+"'>"...)
			return append(base64.StdEncoding.AppendEncode(dst, out), "</challenge>"...)
		})
	}
	l := a.two
	l.Identity, l.PasswordChanged, l.data = a.x.Identity(), c.n.password, out
	if l.tasks = c.tasks(a); len(l.tasks) > 0 {
		return c.sasl2Continue(a)
	}
	return c.sasl2Success(a)
}

// sasl2Fail sends a failure (XEP-0388 §2.6.2).
func (c *client) sasl2Fail(a *attempt, mechanism string, f *auth.Failure) error {
	err := c.queue(func(dst []byte) []byte {
		dst = append(dst, "<failure xmlns='"+nsSASL2+"'>"...)
		dst = append(append(append(dst, '<'), f.Condition...), " xmlns='"+stanza.NSSASL+"'/>"...)
		if f.Text != "" {
			dst = append(stanza.AppendEscaped(append(dst, "<text>"...), f.Text), "</text>"...)
		}
		return append(dst, "</failure>"...)
	})
	if err != nil {
		return err
	}
	return c.failed(a, mechanism, f)
}

// appendData appends a mechanism's data for who succeeds. Without any there is no element (XEP-0388 §2.2).
func appendData(dst, data []byte) []byte {
	if data == nil {
		return dst
	}
	dst = append(dst, "<additional-data>"...)
	return append(base64.StdEncoding.AppendEncode(dst, data), "</additional-data>"...)
}
