package last

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	alice = "alice@a.test"
	bob   = "bob@a.test"
	query = "<query xmlns='jabber:iq:last'/>"
)

func newHost(t *testing.T) *modtest.Host {
	t.Helper()
	return modtest.New(t, "a.test", roster.Info, Info)
}

// reveal lets bob see alice's presence.
func reveal(a, b *modtest.Session) {
	a.Say("<presence type='subscribed' to='bob@a.test'/>")
	b.Say("<presence type='subscribe' to='alice@a.test'/>")
	a.Sent()
	b.Sent()
}

// check wants an answer with these seconds and this text.
func check(t *testing.T, st *stanza.Stanza, seconds, status string) {
	t.Helper()
	q := st.Payload()
	if st.Type != stanza.TypeResult || q == nil || q.NS != ns || q.Attr("seconds") != seconds || q.Text != status {
		t.Errorf("got %s, want %s seconds and %q", st.AppendTo(nil), seconds, status)
	}
}

func condition(st *stanza.Stanza) stanza.Condition {
	if e := st.StanzaError(); e != nil {
		return e.Condition
	}
	return ""
}

// XEP-0012 §5.
func TestUptime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		a := h.Session(alice + "/one")
		time.Sleep(90 * time.Minute)
		check(t, a.IQ("get", "a.test", query), "5400", "")
		if c := condition(a.IQ("set", "a.test", query)); c != stanza.ServiceUnavailable {
			t.Errorf("a set: %q", c)
		}
	})
}

// XEP-0012 §3: seconds since the last session went, and its last words; 0 while one is available.
func TestAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t)
		a, a2, b := h.Session(alice+"/one"), h.Session(alice+"/two"), h.Session(bob+"/b")
		reveal(a, b)
		if c := condition(b.IQ("get", alice, query)); c != stanza.ServiceUnavailable {
			t.Errorf("never online: %q", c)
		}
		a.Available(0, "")
		a2.Available(-1, "")
		check(t, b.IQ("get", alice, query), "0", "")
		a.Say("<presence type='unavailable'><status>not the last</status></presence>")
		time.Sleep(time.Minute)
		check(t, b.IQ("get", alice, query), "0", "")
		a2.Say("<presence type='unavailable'><status>Heading Home &amp; to bed</status></presence>")
		time.Sleep(903 * time.Second)
		check(t, b.IQ("get", alice, query), "903", "Heading Home & to bed")
		check(t, a.IQ("get", "", query), "903", "Heading Home & to bed") // one's own
		a.Available(0, "")
		check(t, b.IQ("get", alice, query), "0", "")
		a.Close(nil) // without a word
		time.Sleep(5 * time.Second)
		check(t, b.IQ("get", alice, query), "5", "")
		a2.Unavailable() // was not available: not news
		time.Sleep(time.Second)
		check(t, b.IQ("get", alice, query), "6", "")
		if c := condition(b.IQ("set", alice, query)); c != stanza.ServiceUnavailable {
			t.Errorf("a set: %q", c)
		}
	})
}

// Z16: who may not know cannot tell an account from a name that is nobody's, nor a resource from one that is not there.
func TestStrangers(t *testing.T) {
	h := newHost(t)
	a, b := h.Session(alice+"/one"), h.Session(bob+"/b")
	ask := func(to string) string {
		raw := b.IQ("get", to, query).AppendTo(nil)
		_, rest, _ := bytes.Cut(raw, []byte("<error"))
		return string(rest)
	}
	unknown := ask("nobody@a.test")
	if !strings.Contains(unknown, "service-unavailable") {
		t.Fatal(unknown)
	}
	for _, available := range []bool{false, true} {
		if available {
			a.Available(0, "")
		}
		for _, to := range []string{alice, alice + "/one", alice + "/two", "nobody@a.test/one"} {
			if got := ask(to); got != unknown {
				t.Errorf("%s, available %v: %s", to, available, got)
			}
		}
	}
	if got := a.Sent(); len(got) > 0 && got[len(got)-1].Kind == stanza.KindIQ {
		t.Errorf("the client was asked: %s", modtest.XML(got))
	}
	// With a subscription the client may answer for itself (§4).
	reveal(a, b)
	b.Say("<iq type='get' id='l' to='alice@a.test/one'>" + query + "</iq>")
	sts := a.Sent()
	if len(sts) != 1 || sts[0].ID() != "l" {
		t.Errorf("the client got %s", modtest.XML(sts))
	}
	// Other requests are not ours to stop.
	h.Send("<iq type='get' id='p' from='x@b.test/y' to='alice@a.test/one'><ping xmlns='urn:xmpp:ping'/></iq>")
	if sts := a.Sent(); len(sts) != 1 {
		t.Errorf("another request did not come: %s", modtest.XML(sts))
	}
}

// An account that ends takes its last words with it.
func TestUserDeleted(t *testing.T) {
	h := newHost(t)
	a := h.Session(alice + "/one")
	a.Available(0, "")
	a.Say("<presence type='unavailable'><status>secret</status></presence>")
	check(t, a.IQ("get", "", query), "0", "secret")
	a.Close(nil)
	if err := h.Users.Delete(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	a = h.Session(alice + "/one")
	if c := condition(a.IQ("get", "", query)); c != stanza.ServiceUnavailable {
		t.Errorf("got %q", c)
	}
}

// A store that fails or is damaged costs the answer, not more.
func TestStoreFails(t *testing.T) {
	var m *module
	in := modules.Define(Info, Config{}, func(Config) modules.Module { m = &module{}; return m })
	h := modtest.New(t, "a.test", roster.Info, in)
	a := h.Session(alice + "/one")
	good := m.kv
	if err := good.Put(context.Background(), []byte("alice"), []byte{99}); err != nil {
		t.Fatal(err)
	}
	if c := condition(a.IQ("get", "", query)); c != stanza.InternalServerError {
		t.Errorf("damaged: %q", c)
	}
	m.kv = broken{good}
	if c := condition(a.IQ("get", "", query)); c != stanza.InternalServerError {
		t.Errorf("unreadable: %q", c)
	}
	m.h.Store = brokenBucket{m.h.Store}
	a.Available(0, "")
	a.Unavailable()
	m.later.Flush()
	if err := h.Users.Delete(context.Background(), "alice"); err != nil {
		t.Fatal(err)
	}
	if log := h.Log(); strings.Count(log, "last logouts not stored") != 1 || strings.Count(log, "last logout not removed") != 1 {
		t.Errorf("logged:\n%s", log)
	}
}

type broken struct{ storage.KV }

var errBroken = errors.New("broken")

func (broken) Get(context.Context, []byte) ([]byte, error) { return nil, errBroken }
func (broken) Delete(context.Context, []byte) error        { return errBroken }

type brokenBucket struct{ storage.Bucket }

func (brokenBucket) Update(context.Context, func(storage.Tx) error) error { return errBroken }

// Many logouts are one write, a little later, and none is left behind by a server that stops.
func TestWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m *module
		in := modules.Define(Info, Config{}, func(Config) modules.Module { m = &module{}; return m })
		h := modtest.New(t, "a.test", roster.Info, in)
		stored := func(want bool, when string) {
			t.Helper()
			synctest.Wait()
			if _, err := m.kv.Get(context.Background(), []byte("alice")); (err == nil) != want {
				t.Errorf("%s: %v", when, err)
			}
		}
		a := h.Session(alice + "/one")
		a.Available(0, "")
		a.Unavailable()
		stored(false, "at once")
		time.Sleep(writeDelay)
		stored(true, "after the delay")
		a.Available(0, "")
		a.Unavailable()
		if err := h.Users.Delete(context.Background(), "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writeDelay)
		stored(false, "of a deleted account")
		a = h.Session(alice + "/two")
		a.Available(0, "")
		a.Unavailable()
		if err := m.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		stored(true, "stopped")
	})
}

// Without mod_roster nobody could say who may know.
func TestNeedsRoster(t *testing.T) {
	if _, err := modtest.TryConfig(t, "a.test", "", Info); err == nil {
		t.Error("started without mod_roster")
	}
}

func TestRecord(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	for _, status := range []string{"", "bye", strings.Repeat("x", statusSize), strings.Repeat("€", statusSize)} {
		got, text, err := parse(record(at, status))
		if err != nil || !got.Equal(at) || len(text) > statusSize || !utf8.ValidString(text) || !strings.HasPrefix(status, text) ||
			len(status) <= statusSize && text != status {
			t.Errorf("%d bytes became %v, %q, %v", len(status), got, text, err)
		}
	}
	for _, b := range []string{"", "\x01", "\x02\x00\x00\x00\x00\x00\x00\x00\x00x"} {
		if _, _, err := parse([]byte(b)); err == nil {
			t.Errorf("%q is a record", b)
		}
	}
}

// A clock that went back does not make the past the future.
func TestClockWentBack(t *testing.T) {
	if got := string(answer(-time.Hour, "")); !strings.Contains(got, "'0'") && !strings.Contains(got, `"0"`) {
		t.Error(got)
	}
}
