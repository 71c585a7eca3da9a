package c2s

import (
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// appendAuthentication announces SASL2 and what can be had in the same step (XEP-0388 §2.1). Mechanisms that are not listed
// belong to the features that use them.
func (c *client) appendAuthentication(dst []byte, t *modules.Table) []byte {
	conn := &c.n.conn
	if len(conn.Mechanisms) == 0 {
		return dst
	}
	dst = append(dst, "<authentication xmlns='"+nsSASL2+"'>"...)
	for _, m := range conn.Mechanisms {
		dst = append(stanza.AppendEscaped(append(dst, "<mechanism>"...), m), "</mechanism>"...)
	}
	dst = append(dst, "<inline><sm xmlns='"+stanza.NSSM+"'/>"...) // XEP-0198 §9
	dst = appendBind2(dst, t)
	for _, f := range t.Inline {
		if f.Feature != nil {
			dst = f.Feature(dst, conn)
		}
	}
	dst = append(dst, "</inline>"...)
	dst = c.appendUpgrades(dst)
	return append(dst, "</authentication>"...)
}

// sasl2Success lets a client in, and does what it asked for with its login: first it resumes a session, else it binds a
// resource. What comes of it is in <success/>; the features follow, but not after a session was resumed (XEP-0198 §9.2).
// The stream is not restarted (XEP-0388 §2.6.1).
func (c *client) sasl2Success(a *attempt) error {
	t, err := c.table()
	if err != nil {
		return err
	}
	l := &a.two.Login
	c.letIn(a)
	if l.Agent != (modules.UserAgent{}) {
		agent := l.Agent
		c.agent = &agent
	}
	var results []byte
	for _, f := range t.Inline {
		if f.Success != nil {
			results = append(results, f.Success(&c.batch, l)...)
		}
	}
	success := func(who stanza.JID, session string) []byte {
		var x stanza.XML
		x.Start("success", "xmlns", nsSASL2).Raw(appendData(nil, a.two.data))
		return x.Leaf("authorization-identifier", who.String()).Raw([]byte(session)).Raw(results).Bytes()
	}
	said := ""
	if r := l.Request.Child(stanza.NSSM, "resume"); r != nil {
		s, failed, err := c.resumeInline(r, func(s *session, resumed string) string {
			return string(success(s.jid, resumed))
		})
		if err != nil {
			return err
		}
		if s != nil {
			c.noted()
			return c.resumed(s)
		}
		said = failed
	}
	if b := l.Request.Child(nsBind2, "bind"); b != nil {
		s, e := c.bind2(t, l, b, func(s *session, bound string) []byte {
			return c.appendFeatures(success(s.jid, said+bound), t, c.state|stream.Bound, s.sm != nil)
		})
		if e == nil {
			c.noted()
			return c.opened(s)
		}
		said += bindFailed(e)
	}
	err = c.queue(func(dst []byte) []byte {
		return c.appendFeatures(append(dst, success(c.ident.JID, said)...), t, c.state, false)
	})
	if err == nil {
		c.noted()
	}
	return err
}

// resumeInline resumes a session within the login (XEP-0198 §9.2).
func (c *client) resumeInline(r *stanza.Element, wrap func(s *session, resumed string) string) (s *session, failed string, err error) {
	h, err := strconv.ParseUint(r.Attr("h"), 10, 32)
	if err != nil {
		return nil, smFailed(stanza.BadRequest), nil
	}
	return c.takeOver(r.Attr("previd"), uint32(h), wrap)
}
