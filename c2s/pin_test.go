package c2s

import (
	"context"
	"strings"
	"testing"

	"mellium.im/sasl"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
)

// pinner logs everybody in as alice, for the resource phone.
type pinner struct{}

func (pinner) Start(_ context.Context, h *modules.Host) error {
	h.SASL(auth.Mechanism{Name: "PIN", Offer: func(*auth.Conn) bool { return true }, Server: func(x *auth.Exchange) sasl.Mechanism {
		return sasl.Mechanism{Name: "PIN", Next: func(*sasl.Negotiator, []byte, any) (bool, []byte, any, error) {
			x.SetIdentity(auth.Identity{JID: jid("alice@a.test"), Resource: "phone", Details: pinned{}})
			return false, nil, nil, nil
		}}
	}})
	return nil
}

func (pinner) Stop(context.Context) error { return nil }

// pinned are the details of such a login.
type pinned struct{}

func (pinned) Credentials() []string { return []string{"pin:1"} }

func pinInfo() modules.Info {
	return modules.Define(modules.Info{Name: "mod_pin", Summary: "a pin"}, struct{}{}, func(struct{}) modules.Module { return pinner{} })
}

// A credential that is for one resource gets its client that one: XEP-0257 §3.
func TestPinnedResource(t *testing.T) {
	r := newRig(t, noTLS, pinInfo())
	enter := func() *peer {
		p := r.dial()
		p.header("to='a.test'")
		p.send("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PIN'>=</auth>")
		p.want("<success *")
		p.header("to='a.test'")
		return p
	}
	const phone = "<iq type='result' id='b1'>*<jid>alice@a.test/phone</jid>*"
	p := enter()
	p.send("%s<resource>tv</resource></bind></iq>", bindOpen)
	p.want("<iq type='error' id='b1'*<not-allowed *")
	p.send("%s</bind></iq>", bindOpen) // none: the server says which
	p.want(phone)
	q := enter()
	q.send("%s<resource>phone</resource></bind></iq>", bindOpen)
	q.want(phone)
	p.fails("conflict") // who was there is logged out
	if !strings.Contains(r.log.String(), "credential=pin:1") {
		t.Error("the log does not say with what")
	}

	// Nor does it come to another resource by way of a resumption.
	tv := r.client("alice", "tv")
	tv.send("<enable %s resume='true'/>", nsSM)
	_, id, _ := strings.Cut(tv.want("<enabled *"), "id='")
	id, _, _ = strings.Cut(id, "'")
	tv.c.Close()
	r.asleep("alice@a.test/tv", true)
	p = enter()
	p.send("<resume %s previd='%s' h='0'/>", nsSM, id)
	p.want("<failed *<item-not-found *")
	p = r.dial()
	p.login("alice")
	p.send("<resume %s previd='%s' h='0'/>", nsSM, id)
	p.want("<resumed *")
}
