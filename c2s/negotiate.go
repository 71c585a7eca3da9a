package c2s

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// negotiate deals with what a client sends before it has a resource (RFC 6120 §4.3).
func (c *client) negotiate(st *stanza.Stanza) error {
	if a := c.n.attempt; a != nil && a.two != nil && st.NS != nsSASL2 {
		return errBusy // XEP-0388 §2.4
	}
	if st.Kind != stanza.KindOther {
		return c.early(st)
	}
	switch st.NS {
	case nsSASL2:
		if c.state&stream.Authenticated != 0 {
			return errLoggedIn
		}
		return c.sasl2(st)
	case stanza.NSTLS:
		if st.Name == "starttls" {
			return c.startTLS()
		}
	case stanza.NSSASL:
		if c.state&stream.Authenticated != 0 {
			return errLoggedIn
		}
		return c.sasl(st)
	case stanza.NSSM:
		return c.earlySM(st)
	case nsCompress:
		// Compression next to encryption leaks what it compresses, so there is none (XEP-0138 §3, XEP-0170 §1.2).
		return c.say("<failure xmlns='" + nsCompress + "'><unsupported-method/></failure>")
	}
	if c.state&stream.Authenticated == 0 {
		return notAuthorized
	}
	return unsupported
}

const nsCompress = "http://jabber.org/protocol/compress"

var (
	notAuthorized = &stream.Error{Condition: "not-authorized"}          // RFC 6120 §4.9.3.12
	unsupported   = &stream.Error{Condition: "unsupported-stanza-type"} // RFC 6120 §4.9.3.24
	errLoggedIn   = &stream.Error{Condition: "policy-violation", Text: "already logged in"}
	errBusy       = &stream.Error{Condition: "policy-violation", Text: "a login is under way"}
)

// early deals with a stanza before a resource is bound: only the request to bind one, and what modules answer to
// strangers, such as registration (XEP-0077 §3.1.1).
func (c *client) early(st *stanza.Stanza) error {
	if st.Kind != stanza.KindIQ || st.NS != stanza.NSClient || st.Type != stanza.TypeGet && st.Type != stanza.TypeSet {
		return notAuthorized
	}
	if c.state&stream.Authenticated != 0 {
		if st.Has(stanza.NSBind, "bind") {
			return c.bind(st)
		}
		return notAuthorized // RFC 6120 §7.1
	}
	if len(st.Children) != 1 || c.state&stream.Secure == 0 && c.policy.requireTLS {
		return notAuthorized
	}
	t, err := c.table()
	if err != nil {
		return err
	}
	fn := t.IQ(modules.Preauth, st.Children[0].NS)
	if fn == nil {
		return notAuthorized
	}
	host := stanza.JID{}
	if host, err = stanza.NewJID("", c.n.conn.Host, ""); err != nil {
		return err
	}
	if to := st.To(); to != host {
		if _, given := st.Attr("to"); given {
			return notAuthorized
		}
	}
	p := &modules.Packet{Stanza: st, To: host}
	payload, err := fn(&c.batch, &modules.IQ{Packet: p, Payload: st.Payload(), Conn: &c.n.conn})
	if err == modules.Done {
		return nil
	}
	if err != nil {
		return c.answer(st.Bounce(c.srv.stanzaError(p, err)), host)
	}
	return c.answer(st.Result(payload), host)
}

// answer sends a stanza of the server's to a client without a resource.
func (c *client) answer(st *stanza.Stanza, from stanza.JID) error {
	if st == nil {
		return nil
	}
	st.SetFrom(from)
	st.SetTo(stanza.JID{})
	return c.queue(st.AppendTo)
}
