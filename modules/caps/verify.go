package caps

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/stanza"
)

// hashes are the functions that a verification string can be made with (XEP-0115 §9.1; names are IANA's).
var hashes = map[string]func() hash.Hash{"sha-1": sha1.New, "sha-256": sha256.New, "sha-512": sha512.New}

// verified tells whether an answer is what the verification string stands for (XEP-0115 §5.4).
func verified(k key, query *stanza.Element) bool {
	h := hashes[k.hash]
	return h != nil && disco.VerWith(h(), query) == k.ver
}

// wellFormed refuses answers that could be made to fit another's verification string (XEP-0115 §5.4 items 3.3 to 3.5).
//
// More than the XEP asks for: what is hashed does not tell a feature from an identity or a field of a form, and < ends
// each. So < may stand nowhere, and what ends in +notify may stand in features alone: then a string that has been verified
// stands for one set of these, and nobody can hide some of it from the others of that string.
func wellFormed(query *stanza.Element) bool {
	if query == nil || query.NS != stanza.NSDiscoInf || query.Name != "query" {
		return false
	}
	c := check{seen: map[string]bool{}}
	for _, e := range query.Children {
		switch {
		case e.NS == stanza.NSDiscoInf && e.Name == "identity":
			lang := ""
			for _, a := range e.Attrs {
				if a.NS == stanza.NSXML && a.Name == "lang" {
					lang = a.Value
				}
			}
			id := []string{e.Attr("category"), e.Attr("type"), lang, e.Attr("name")}
			c.plain(id...)
			c.once("identity", id...)
		case e.NS == stanza.NSDiscoInf && e.Name == "feature":
			c.once("feature", e.Attr("var"))
		case e.NS == nsForm && e.Name == "x":
			c.form(e)
		}
	}
	return !c.bad
}

// check looks at the parts of an answer.
type check struct {
	seen map[string]bool
	bad  bool
}

// once refuses what has been there before.
func (c *check) once(kind string, parts ...string) {
	k := kind + "\x00" + strings.Join(parts, "\x00")
	c.bad = c.bad || c.seen[k] || strings.Contains(k, "<")
	c.seen[k] = true
}

// plain refuses what could be read as a feature that counts.
func (c *check) plain(list ...string) {
	for _, s := range list {
		c.bad = c.bad || strings.Contains(s, "<") || strings.HasSuffix(s, notify)
	}
}

func (c *check) form(form *stanza.Element) {
	var types []string
	for _, f := range form.Children {
		if f.NS != nsForm || f.Name != "field" {
			continue
		}
		c.plain(f.Attr("var"))
		for _, v := range f.Children {
			c.plain(v.Text)
			if f.Attr("var") == "FORM_TYPE" && !slices.Contains(types, v.Text) {
				types = append(types, v.Text)
			}
		}
	}
	if c.bad = c.bad || len(types) > 1; len(types) == 1 {
		c.once("form", types[0])
	}
}
