package c2s

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

// sasl deals with an element of SASL in the profile of RFC 6120 §6.
func (c *client) sasl(st *stanza.Stanza) error {
	n := c.n
	switch st.Name {
	case "auth": // RFC 6120 §6.4.2
		name, _ := st.Attr("mechanism")
		if n.attempt != nil {
			return c.saslFail(n.attempt, n.attempt.name, malformed("another attempt was under way"))
		}
		a, f := c.begin(name, false)
		if f != nil {
			if len(name) > 20 { // RFC 4422 §3.1
				name = "" // the client's invention
			}
			return c.saslFail(nil, name, f)
		}
		n.attempt = a
		return c.saslStep(st)
	case "response": // RFC 6120 §6.4.3
		if n.attempt == nil {
			return c.saslFail(nil, "", malformed("a response to nothing"))
		}
		return c.saslStep(st)
	case "abort": // RFC 6120 §6.4.4
		if a := n.attempt; a != nil {
			return c.saslFail(a, a.name, &auth.Failure{Condition: auth.Aborted})
		}
		return c.saslFail(nil, "", &auth.Failure{Condition: auth.Aborted})
	}
	return unsupported
}

// saslStep hands what the element says to the mechanism and answers.
func (c *client) saslStep(st *stanza.Stanza) error {
	a := c.n.attempt
	in, f := saslData(st)
	if f != nil {
		return c.saslFail(a, a.name, f)
	}
	if in == nil && st.Name == "response" {
		in = []byte{} // RFC 6120 §6.4.3: an empty response is a response
	}
	out, more, f := c.step(a, in)
	switch {
	case f != nil:
		return c.saslFail(a, a.name, f)
	case more:
		return c.saslSay("challenge", out, false)
	}
	if err := c.saslSay("success", out, out != nil); err != nil {
		return err
	}
	c.succeeded(a)
	c.sc.Restart() // RFC 6120 §6.4.6
	c.n.header = true
	return nil
}

// saslSay sends a challenge or a success. Data that is there but empty is "=" (RFC 6120 §6.4.2, §6.4.6).
func (c *client) saslSay(name string, data []byte, explicit bool) error {
	return c.queue(func(dst []byte) []byte {
		dst = append(append(append(dst, '<'), name...), " xmlns='"+stanza.NSSASL+"'>"...)
		if len(data) == 0 && explicit {
			dst = append(dst, '=')
		}
		dst = base64.StdEncoding.AppendEncode(dst, data)
		return append(append(append(dst, "</"...), name...), '>')
	})
}

// saslFail sends a failure (RFC 6120 §6.4.5).
func (c *client) saslFail(a *attempt, mechanism string, f *auth.Failure) error {
	err := c.queue(func(dst []byte) []byte {
		dst = append(dst, "<failure xmlns='"+stanza.NSSASL+"'>"...)
		dst = append(append(append(dst, '<'), f.Condition...), "/>"...)
		if f.Text != "" {
			dst = append(dst, "<text xml:lang='en'>"...)
			dst = append(stanza.AppendEscaped(dst, f.Text), "</text>"...)
		}
		return append(dst, "</failure>"...)
	})
	if err != nil {
		return err
	}
	return c.failed(a, mechanism, f)
}

func malformed(text string) *auth.Failure {
	return &auth.Failure{Condition: auth.MalformedRequest, Text: text}
}

// saslData decodes the base64 of an element: nil where there is nothing, empty for "=" (RFC 6120 §6.4.2).
func saslData(st *stanza.Stanza) ([]byte, *auth.Failure) {
	if len(st.Children) > 0 {
		return nil, malformed("elements where data should be")
	}
	text := st.Root().Text
	switch text {
	case "":
		return nil, nil
	case "=":
		return []byte{}, nil
	}
	// RFC 6120 §6.4.2 and RFC 4648 §3.3: no line breaks, which the decoder would pass over.
	if strings.ContainsAny(text, "\r\n") {
		return nil, &auth.Failure{Condition: auth.IncorrectEncoding, Cause: errors.New("line break in base64")}
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, &auth.Failure{Condition: auth.IncorrectEncoding} // RFC 6120 §6.5.5
	}
	return b, nil
}
