package roster

import (
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// states are the nine of RFC 6121 §A.1.
var states = map[string]state{
	"None":                         0,
	"None + Pending Out":           pendingOut,
	"None + Pending In":            pendingIn,
	"None + Pending Out+In":        pendingOut | pendingIn,
	"To":                           subTo,
	"To + Pending In":              subTo | pendingIn,
	"From":                         subFrom,
	"From + Pending Out":           subFrom | pendingOut,
	"Both":                         subTo | subFrom,
	"None, approved":               approved,
	"None + Pending Out, approved": pendingOut | approved,
	"To, approved":                 subTo | approved,
}

// row is a row of a table of RFC 6121 §A.2 or §A.3.
type row struct {
	section string
	stanza  stanza.Type
	before  string
	passes  bool // §A.2: ROUTE?, §A.3: DELIVER?
	after   string
	reply   stanza.Type // §A.3: what the server answers by itself
}

const (
	subscribe    = stanza.TypeSubscribe
	subscribed   = stanza.TypeSubscribed
	unsubscribe  = stanza.TypeUnsubscribe
	unsubscribed = stanza.TypeUnsubscribed
)

var outboundRows = []row{
	{"A.2.1", subscribe, "None", true, "None + Pending Out", 0},
	{"A.2.1", subscribe, "None + Pending Out", true, "None + Pending Out", 0},
	{"A.2.1", subscribe, "None + Pending In", true, "None + Pending Out+In", 0},
	{"A.2.1", subscribe, "None + Pending Out+In", true, "None + Pending Out+In", 0},
	{"A.2.1", subscribe, "To", true, "To", 0},
	{"A.2.1", subscribe, "To + Pending In", true, "To + Pending In", 0},
	{"A.2.1", subscribe, "From", true, "From + Pending Out", 0},
	{"A.2.1", subscribe, "From + Pending Out", true, "From + Pending Out", 0},
	{"A.2.1", subscribe, "Both", true, "Both", 0},

	{"A.2.2", unsubscribe, "None", true, "None", 0},
	{"A.2.2", unsubscribe, "None + Pending Out", true, "None", 0},
	{"A.2.2", unsubscribe, "None + Pending In", true, "None + Pending In", 0},
	{"A.2.2", unsubscribe, "None + Pending Out+In", true, "None + Pending In", 0},
	{"A.2.2", unsubscribe, "To", true, "None", 0},
	{"A.2.2", unsubscribe, "To + Pending In", true, "None + Pending In", 0},
	{"A.2.2", unsubscribe, "From", true, "From", 0},
	{"A.2.2", unsubscribe, "From + Pending Out", true, "From", 0},
	{"A.2.2", unsubscribe, "Both", true, "From", 0},

	{"A.2.3", subscribed, "None", false, "None, approved", 0},
	{"A.2.3", subscribed, "None + Pending Out", false, "None + Pending Out, approved", 0},
	{"A.2.3", subscribed, "None + Pending In", true, "From", 0},
	{"A.2.3", subscribed, "None + Pending Out+In", true, "From + Pending Out", 0},
	{"A.2.3", subscribed, "To", false, "To, approved", 0},
	{"A.2.3", subscribed, "To + Pending In", true, "Both", 0},
	{"A.2.3", subscribed, "From", false, "From", 0},
	{"A.2.3", subscribed, "From + Pending Out", false, "From + Pending Out", 0},
	{"A.2.3", subscribed, "Both", false, "Both", 0},

	{"A.2.4", unsubscribed, "None", false, "None", 0},
	{"A.2.4", unsubscribed, "None + Pending Out", false, "None + Pending Out", 0},
	{"A.2.4", unsubscribed, "None + Pending In", true, "None", 0},
	{"A.2.4", unsubscribed, "None + Pending Out+In", true, "None + Pending Out", 0},
	{"A.2.4", unsubscribed, "To", false, "To", 0},
	{"A.2.4", unsubscribed, "To + Pending In", true, "To", 0},
	{"A.2.4", unsubscribed, "From", true, "None", 0},
	{"A.2.4", unsubscribed, "From + Pending Out", true, "None + Pending Out", 0},
	{"A.2.4", unsubscribed, "Both", true, "To", 0},

	// The end of a pre-approval.
	{"3.4.2", unsubscribed, "None, approved", false, "None", 0},
	{"3.4.2", unsubscribed, "None + Pending Out, approved", false, "None + Pending Out", 0},
	{"3.4.2", unsubscribed, "To, approved", false, "To", 0},
	// What else happens to one that has a pre-approval.
	{"3.4.2", subscribe, "None, approved", true, "None + Pending Out, approved", 0},
	{"3.4.2", unsubscribe, "To, approved", true, "None, approved", 0},
	{"3.4.2", subscribed, "To, approved", false, "To, approved", 0},
}

var inboundRows = []row{
	{"A.3.1", subscribe, "None", true, "None + Pending In", 0},
	{"A.3.1", subscribe, "None + Pending Out", true, "None + Pending Out+In", 0},
	{"A.3.1", subscribe, "None + Pending In", false, "None + Pending In", 0},
	{"A.3.1", subscribe, "None + Pending Out+In", false, "None + Pending Out+In", 0},
	{"A.3.1", subscribe, "To", true, "To + Pending In", 0},
	{"A.3.1", subscribe, "To + Pending In", false, "To + Pending In", 0},
	{"A.3.1", subscribe, "From", false, "From", subscribed},
	{"A.3.1", subscribe, "From + Pending Out", false, "From + Pending Out", subscribed},
	{"A.3.1", subscribe, "Both", false, "Both", subscribed},

	{"A.3.2", unsubscribe, "None", false, "None", 0},
	{"A.3.2", unsubscribe, "None + Pending Out", false, "None + Pending Out", 0},
	{"A.3.2", unsubscribe, "None + Pending In", true, "None", unsubscribed},
	{"A.3.2", unsubscribe, "None + Pending Out+In", true, "None + Pending Out", unsubscribed},
	{"A.3.2", unsubscribe, "To", false, "To", 0},
	{"A.3.2", unsubscribe, "To + Pending In", true, "To", unsubscribed},
	{"A.3.2", unsubscribe, "From", true, "None", unsubscribed},
	{"A.3.2", unsubscribe, "From + Pending Out", true, "None + Pending Out", unsubscribed},
	{"A.3.2", unsubscribe, "Both", true, "To", unsubscribed},

	{"A.3.3", subscribed, "None", false, "None", 0},
	{"A.3.3", subscribed, "None + Pending Out", true, "To", 0},
	{"A.3.3", subscribed, "None + Pending In", false, "None + Pending In", 0},
	{"A.3.3", subscribed, "None + Pending Out+In", true, "To + Pending In", 0},
	{"A.3.3", subscribed, "To", false, "To", 0},
	{"A.3.3", subscribed, "To + Pending In", false, "To + Pending In", 0},
	{"A.3.3", subscribed, "From", false, "From", 0},
	{"A.3.3", subscribed, "From + Pending Out", true, "Both", 0},
	{"A.3.3", subscribed, "Both", false, "Both", 0},

	{"A.3.4", unsubscribed, "None", false, "None", 0},
	{"A.3.4", unsubscribed, "None + Pending Out", true, "None", 0},
	{"A.3.4", unsubscribed, "None + Pending In", false, "None + Pending In", 0},
	{"A.3.4", unsubscribed, "None + Pending Out+In", true, "None + Pending In", 0},
	{"A.3.4", unsubscribed, "To", true, "None", 0},
	{"A.3.4", unsubscribed, "To + Pending In", true, "None + Pending In", 0},
	{"A.3.4", unsubscribed, "From", false, "From", 0},
	{"A.3.4", unsubscribed, "From + Pending Out", true, "From", 0},
	{"A.3.4", unsubscribed, "Both", true, "From", 0},

	// A request that was approved in advance.
	{"3.4.2", subscribe, "None, approved", false, "From", subscribed},
	{"3.4.2", subscribe, "None + Pending Out, approved", false, "From + Pending Out", subscribed},
	{"3.4.2", subscribe, "To, approved", false, "Both", subscribed},
	{"3.4.2", unsubscribed, "To, approved", true, "None, approved", 0},
	{"3.4.2", subscribed, "None + Pending Out, approved", true, "To, approved", 0},
}

func (r row) name() string { return r.section + " " + typeName[r.stanza] + " " + r.before }

var typeName = map[stanza.Type]string{
	subscribe: "subscribe", subscribed: "subscribed", unsubscribe: "unsubscribe", unsubscribed: "unsubscribed",
	stanza.TypeNone: "none", stanza.TypeUnavailable: "unavailable", stanza.TypeProbe: "probe", stanza.TypeError: "error",
	stanza.TypeSet: "set", stanza.TypeGet: "get", stanza.TypeResult: "result",
}

func TestStateNames(t *testing.T) {
	for name, s := range states {
		if s.String() != name {
			t.Errorf("%q prints as %q", name, s)
		}
	}
}

func TestOutboundTables(t *testing.T) {
	for _, r := range outboundRows {
		if next, route := states[r.before].outbound(r.stanza); route != r.passes || next != states[r.after] {
			t.Errorf("%s: routed %v, then %q; want %v, then %q", r.name(), route, next, r.passes, r.after)
		}
	}
}

func TestInboundTables(t *testing.T) {
	for _, r := range inboundRows {
		next, deliver, reply := states[r.before].inbound(r.stanza)
		if deliver != r.passes || next != states[r.after] || reply != r.reply {
			t.Errorf("%s: delivered %v, then %q, answer %v; want %v, then %q, answer %v",
				r.name(), deliver, next, typeName[reply], r.passes, r.after, typeName[r.reply])
		}
	}
}

// Other presence leaves a subscription alone.
func TestOtherTypes(t *testing.T) {
	for _, typ := range []stanza.Type{stanza.TypeNone, stanza.TypeUnavailable, stanza.TypeProbe, stanza.TypeError} {
		for name, s := range states {
			if next, route := s.outbound(typ); next != s || route {
				t.Errorf("outbound %v changes %s", typeName[typ], name)
			}
			if next, deliver, reply := s.inbound(typ); next != s || deliver || reply != stanza.TypeNone {
				t.Errorf("inbound %v changes %s", typeName[typ], name)
			}
		}
	}
}
