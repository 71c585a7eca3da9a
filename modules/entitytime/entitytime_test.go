package entitytime

import (
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

func TestNow(t *testing.T) {
	at := time.Date(2006, 12, 19, 12, 58, 35, 999, time.FixedZone("", -5*3600))
	const want = "<time xmlns='urn:xmpp:time'><tzo>-05:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>" // XEP-0202 §3
	if got := string(now(at)); got != want {
		t.Errorf("%s", got)
	}
	if e, err := stanza.ParseElement(now(at.UTC())); err != nil || e.ChildText("tzo") != "+00:00" {
		t.Errorf("in UTC: %+v %v", e, err)
	}
}

func TestAnswer(t *testing.T) {
	h := modtest.New(t, "a.test", Info)
	alice := h.Session("alice@a.test/r")
	q := alice.IQ("get", "a.test", "<time xmlns='urn:xmpp:time'/>").Payload()
	if at, err := time.Parse(time.RFC3339, q.ChildText("utc")); err != nil || time.Since(at).Abs() > time.Hour {
		t.Errorf("%v %v", at, err)
	}
	if st := alice.IQ("set", "a.test", "<time xmlns='urn:xmpp:time'/>"); st.Type != stanza.TypeError {
		t.Error("a set is answered")
	}
}
