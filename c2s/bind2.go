package c2s

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"strings"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

const nsBind2 = "urn:xmpp:bind:0"

// appendBind2 announces Bind 2 and the features that it can switch on (XEP-0386 §3.1).
func appendBind2(dst []byte, t *modules.Table) []byte {
	dst = append(dst, "<bind xmlns='"+nsBind2+"'><inline>"+
		"<feature var='"+stanza.NSSM+"'/><feature var='"+stanza.NSCSI+"'/>"...)
	for _, f := range t.Binding {
		if f.Var != "" {
			dst = append(stanza.AppendEscaped(append(dst, "<feature var='"...), f.Var), "'/>"...)
		}
	}
	return append(dst, "</inline></bind>"...)
}

// bind2 gives a client that logs in its resource (XEP-0386 §3.2). answer makes what tells it so of what <bound/> is.
func (c *client) bind2(t *modules.Table, l *modules.Login, b *stanza.Element, answer func(s *session, bound string) []byte) (*session, *stanza.Error) {
	prepare := func(s *session) {
		for _, f := range t.Binding {
			if f.Enable == nil || f.Var == "" {
				continue
			}
			if e := b.Child(f.Var, ""); e != nil {
				f.Enable(&c.batch, s, e)
			}
		}
	}
	return c.openSession(c.resourceOf(b.ChildText("tag")), prepare, func(s *session) []byte {
		var x stanza.XML
		x.Start("bound", "xmlns", nsBind2)
		if e := b.Child(stanza.NSSM, "enable"); e != nil { // XEP-0198 §9.1
			resume := e.Attr("resume")
			x.Raw([]byte(s.startManagement(resume == "true" || resume == "1", e.Attr("max"))))
		}
		if b.Child(stanza.NSCSI, "inactive") != nil {
			s.csi = &csi{}
		}
		for _, f := range t.Binding {
			if f.Bound != nil {
				x.Raw(f.Bound(&c.batch, l, s.jid))
			}
		}
		return answer(s, string(x.Bytes()))
	})
}

// bindFailed says that there is no resource, and why. XEP-0386 has no word for it.
func bindFailed(e *stanza.Error) string {
	var x stanza.XML
	return string(x.Start("failed", "xmlns", nsBind2).Raw(e.AppendTo(nil)).Bytes())
}

// resourceOf makes a resource of the client's tag, which is the same each time for one that says by XEP-0388 §2.3 which it
// is, and tells nobody its id (XEP-0386 §3.2.1).
func (c *client) resourceOf(tag string) string {
	if _, err := c.ident.JID.WithResource(tag); err != nil || tag == "" {
		tag = "client"
	}
	tag = shorten(tag)
	if c.installation() == "" {
		return tag + "." + newResource()
	}
	mac := hmac.New(sha256.New, c.srv.o.Secret("bind2 resources"))
	mac.Write([]byte(c.ident.JID.String() + "\x00" + tag + "\x00" + c.installation()))
	return tag + "." + strings.ToLower(base32.StdEncoding.EncodeToString(mac.Sum(nil))[:10])
}
