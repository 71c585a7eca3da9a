package disco

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// Query writes the disco#info of a host's server or of its accounts, from what the modules of the table registered
// (XEP-0030 §3.1, XEP-0128). An empty node is left out.
func Query(t *modules.Table, at modules.At, node string) []byte {
	ids, features, forms := t.Disco(at)
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoInf, "node", node)
	for _, id := range ids {
		x.Empty("identity", "category", id.Category, "type", id.Type, "name", id.Name)
	}
	for _, f := range features {
		x.Empty("feature", "var", f)
	}
	for _, form := range forms {
		x.Raw(form())
	}
	return x.Bytes()
}
