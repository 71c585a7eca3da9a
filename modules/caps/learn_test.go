package caps

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

const (
	head   = "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc' name='x'/>"
	simple = head + "<feature var='urn:a+notify'/><feature var='urn:b'/></query>"
)

// world is the module with a host around it, and clients elsewhere.
type world struct {
	*modtest.Host
	t       *testing.T
	m       *module
	learned map[string]string // by client
}

func newWorld(t *testing.T, toml string) *world {
	w := &world{t: t, learned: map[string]string{}}
	in := modules.Define(Info, Config{CacheSize: 10_000}, func(c Config) modules.Module {
		m := newModule(c)
		if w.m == nil { // a reload makes another, which it does not use
			w.m = m
		}
		return m
	})
	w.Host = modtest.NewConfig(t, "a.test", toml, disco.Info, in)
	w.User("alice")
	return w
}

// sees lets alice see a client's presence.
func (w *world) sees(client, c string) {
	st, err := stanza.Parse([]byte("<presence>" + c + "</presence>"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.m.Learn(context.Background(), st, stanza.MustJID(client), stanza.MustJID("alice@a.test"), func(_ context.Context, in *Interest) {
		w.learned[client] += "[" + strings.Join(in.Nodes(), " ") + "]"
	})
}

// asked returns who has been asked since, and notes the questions' ids.
func (w *world) asked(ids map[string]string) string {
	var out []string
	for _, st := range w.Sent() {
		if st.Kind != stanza.KindIQ || st.Type != stanza.TypeGet || st.From().String() != "alice@a.test" || !strings.HasPrefix(st.Payload().Attr("node"), "urn:c#") {
			w.t.Errorf("sent %s", st.AppendTo(nil))
		}
		ids[st.To().String()] = st.ID()
		out = append(out, st.To().String())
	}
	return strings.Join(out, " ")
}

func (w *world) says(client, id, query string) {
	w.Send("<iq type='result' from='" + client + "' to='alice@a.test' id='" + id + "'>" + query + "</iq>")
}

func c(hash, ver string) string {
	return "<c xmlns='http://jabber.org/protocol/caps' hash='" + hash + "' node='urn:c' ver='" + ver + "'/>"
}

func ver(query string) string {
	e, err := stanza.ParseElement([]byte(query))
	if err != nil {
		panic(err)
	}
	return disco.Ver(e)
}

// XEP-0115 §5.4: one client of a kind is asked, and what it says and can be verified is known of all of that kind.
func TestLearn(t *testing.T) {
	w, ids := newWorld(t, ""), map[string]string{}
	caps := c("sha-1", ver(simple))
	w.sees("x@b.test/1", "")
	w.sees("x@b.test/1", caps)
	w.asked(ids)
	old := ids["x@b.test/1"]
	w.sees("x@b.test/1", caps) // a new client of that name knows nothing of what the old one was asked
	w.says("x@b.test/1", old, head+"</query>")
	if got := w.asked(ids); got != "x@b.test/1" || ids["x@b.test/1"] == old || len(w.m.current) != 1 {
		t.Fatalf("asked %q", got)
	}
	w.says("y@b.test/1", ids["x@b.test/1"], simple) // not who was asked
	if len(w.learned) > 0 {
		t.Fatalf("learned %v", w.learned)
	}
	w.says("x@b.test/1", ids["x@b.test/1"], simple)
	w.says("x@b.test/1", ids["x@b.test/1"], simple) // twice
	w.sees("y@b.test/2", caps)
	if got := fmt.Sprint(w.learned); got != "map[x@b.test/1:[urn:a] y@b.test/2:[urn:a]]" || w.asked(ids) != "" {
		t.Errorf("learned %s", got)
	}
}

// Z14, XEP-0115 §9.3: who lies about what a verification string stands for lies about himself alone.
func TestPoisoning(t *testing.T) {
	w, ids := newWorld(t, ""), map[string]string{}
	caps := c("sha-1", ver(simple))
	lies := map[string]string{
		"other features":    head + "<feature var='urn:evil+notify'/></query>",
		"nothing":           head + "</query>",
		"a feature twice":   head + "<feature var='urn:a+notify'/><feature var='urn:a+notify'/><feature var='urn:b'/></query>",
		"an identity twice": head + "<identity category='client' type='pc' name='x'/><feature var='urn:a+notify'/></query>",
		// These have the verification string of the others.
		"hidden in a name": "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc' name='x&lt;urn:a+notify'/><feature var='urn:b'/></query>",
		"hidden in a form": head + "<feature var='urn:a+notify'/><x xmlns='jabber:x:data' type='result'><field type='hidden' var='FORM_TYPE'><value>urn:b</value></field></x></query>",
	}
	if w.m.stopped || ver(lies["hidden in a name"]) != ver(simple) || ver(lies["hidden in a form"]) != ver(simple) {
		t.Fatal("these are no collisions")
	}
	n := 0
	for name, lie := range lies {
		if name == "hidden in a form" {
			continue // hides nothing that counts: TestFormsHideNothing
		}
		n++
		client := fmt.Sprint("m@b.test/", n)
		w.sees(client, caps)
		w.asked(ids)
		w.says(client, ids[client], lie)
		want := ""
		switch name {
		case "other features":
			want = "[urn:evil]" // its own affair
		case "nothing":
			want = "[]"
		}
		if w.learned[client] != want {
			t.Errorf("%s: learned %s", name, w.learned[client])
		}
	}
	w.sees("good@b.test/x", caps)
	if got := w.asked(ids); got != "good@b.test/x" {
		t.Fatalf("a lie was believed: asked %q", got)
	}
	w.says("good@b.test/x", ids["good@b.test/x"], simple)
	if w.learned["good@b.test/x"] != "[urn:a]" {
		t.Errorf("learned %v", w.learned)
	}
}

// What counts cannot be hidden in a form.
func TestFormsHideNothing(t *testing.T) {
	honest := head + "<feature var='urn:b'/><feature var='urn:z+notify'/></query>"
	lie := head + "<feature var='urn:b'/><x xmlns='jabber:x:data' type='result'><field type='hidden' var='FORM_TYPE'><value>urn:z+notify</value></field></x></query>"
	two := head + "<x xmlns='jabber:x:data' type='result'><field type='hidden' var='FORM_TYPE'><value>urn:f</value><value>urn:g</value></field></x></query>"
	if ver(honest) != ver(lie) {
		t.Fatal("no collision")
	}
	for q, want := range map[string]bool{honest: true, lie: false, two: false, strings.Replace(two, "<value>urn:g</value>", "", 1): true,
		"<query xmlns='urn:x'/>": false, "<x xmlns='http://jabber.org/protocol/disco#info'/>": false} {
		e, err := stanza.ParseElement([]byte(q))
		if err != nil {
			t.Fatal(err)
		}
		if wellFormed(e) != want {
			t.Errorf("%s: %v", q, !want)
		}
	}
	if wellFormed(nil) {
		t.Error("nothing is well-formed")
	}
}

// Clients that do not answer hold up nobody for long, and nobody is asked twice at once.
func TestSilentClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, ids := newWorld(t, ""), map[string]string{}
		caps := c("sha-1", ver(simple))
		for i := range 5 {
			w.sees(fmt.Sprint("m@b.test/", i), caps)
		}
		if got := w.asked(ids); got != "m@b.test/0 m@b.test/1 m@b.test/2" {
			t.Errorf("asked %q", got)
		}
		w.Send("<iq type='error' from='m@b.test/0' to='alice@a.test' id='" + ids["m@b.test/0"] + "'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>")
		if got := w.asked(ids); got != "m@b.test/3" {
			t.Errorf("after an error asked %q", got)
		}
		time.Sleep(patience + time.Second)
		synctest.Wait()
		if got := w.asked(ids); got != "m@b.test/4" {
			t.Errorf("after a while asked %q", got)
		}
		w.says("m@b.test/4", ids["m@b.test/4"], simple)
		if got := fmt.Sprint(w.learned); got != "map[m@b.test/4:[urn:a]]" {
			t.Errorf("learned %s", got)
		}
		w.m.mu.Lock()
		defer w.m.mu.Unlock()
		if n := len(w.m.current) + len(w.m.asks) + len(w.m.questions) + len(w.m.share); n != 0 {
			t.Errorf("%d entries are left", n)
		}
	})
}

// All who wait for the same answer get it, those asked as well.
func TestAllHear(t *testing.T) {
	w, ids := newWorld(t, ""), map[string]string{}
	for i := range 5 {
		w.sees(fmt.Sprint("m@b.test/", i), c("sha-1", ver(simple)))
	}
	w.asked(ids)
	w.says("m@b.test/1", ids["m@b.test/1"], simple)
	w.says("m@b.test/0", ids["m@b.test/0"], head+"</query>") // too late
	if len(w.learned) != 5 || w.learned["m@b.test/0"] != "[urn:a]" || len(w.m.current) != 0 {
		t.Errorf("learned %v, %d wait", w.learned, len(w.m.current))
	}
}

// XEP-0115 §5.4 items 1 and 2: other functions, none, or one that we do not know; then what is said holds for the client alone.
func TestHashes(t *testing.T) {
	w, ids := newWorld(t, ""), map[string]string{}
	s := "client/pc//x<urn:a+notify<urn:b<"
	sum := sha256.Sum256([]byte(s))
	one := sha1.Sum([]byte(s))
	if base64.StdEncoding.EncodeToString(one[:]) != ver(simple) {
		t.Fatal("not that string")
	}
	known := c("sha-256", base64.StdEncoding.EncodeToString(sum[:]))
	for i, tt := range []struct {
		caps   string
		shared bool
	}{{known, true}, {c("md5", "abc"), false}, {strings.Replace(c("", "1.0"), " hash=''", "", 1), false}} {
		first, second := fmt.Sprintf("m@b.test/%d", 2*i), fmt.Sprintf("m@b.test/%d", 2*i+1)
		w.sees(first, tt.caps)
		w.asked(ids)
		w.says(first, ids[first], simple)
		w.sees(second, tt.caps)
		if asked := w.asked(ids); (asked == "") != tt.shared || w.learned[first] != "[urn:a]" {
			t.Errorf("%s: asked %q, learned %v", tt.caps, asked, w.learned)
		}
	}
}

// What is too long or too much is not looked at, or not kept.
func TestBounds(t *testing.T) {
	w, ids := newWorld(t, "[modules.mod_caps]\ncache_size = 2\n"), map[string]string{}
	w.sees("m@b.test/x", c("sha-1", strings.Repeat("v", maxVer+1)))
	w.sees("m@b.test/x", c("sha-1", ""))
	if got := w.asked(ids); got != "" {
		t.Errorf("asked %q", got)
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "<feature var='urn:%d+notify'/>", i)
	}
	queries := []string{head + many.String() + "<feature var='" + strings.Repeat("n", 300) + "+notify'/></query>", head + "<feature var='urn:1'/></query>", head + "<feature var='urn:2'/></query>"}
	for i, q := range queries {
		client := fmt.Sprint("m@b.test/", i)
		w.sees(client, c("sha-1", ver(q)))
		w.asked(ids)
		w.says(client, ids[client], q)
	}
	if n := strings.Count(w.learned["m@b.test/0"], "urn:"); n != maxNodes {
		t.Errorf("%d nodes are kept", n)
	}
	w.sees("n@b.test/2", c("sha-1", ver(queries[2])))
	if got := w.asked(ids); got != "" || w.m.cache.Len() != 2 {
		t.Errorf("asked %q, %d kept", got, w.m.cache.Len())
	}
	w.sees("n@b.test/0", c("sha-1", ver(queries[0])))
	if got := w.asked(ids); got != "n@b.test/0" {
		t.Errorf("what was used longest ago stayed: asked %q", got)
	}
	if err := w.Reload("[modules.mod_caps]\ncache_size = 1\n"); err != nil || w.m.cache.Len() != 1 {
		t.Errorf("%v, %d kept", err, w.m.cache.Len())
	}
	if err := w.Reload("[modules.mod_caps]\ncache_size = 0\n"); err == nil {
		t.Error("no room at all is a configuration")
	}
	// A client that says something else each time is asked each time, and only the last of it counts; an account with many
	// clients does not keep others waiting.
	for i := range 20 {
		w.sees("n@b.test/9", c("sha-1", fmt.Sprint("v", i)))
	}
	if len(w.m.current) != 2 || len(w.m.asks) != 2 || len(w.m.questions) != 2 {
		t.Errorf("%d questions about two clients", len(w.m.current))
	}
	for i := range maxShare + 20 {
		w.sees(fmt.Sprint("many@b.test/", i), c("sha-1", "many"))
	}
	if n := len(w.m.current); n != 2+maxShare {
		t.Errorf("%d questions", n)
	}
	w.asked(ids)
	w.sees("other@b.test/x", c("sha-1", "new"))
	if got := w.asked(ids); got != "other@b.test/x" {
		t.Errorf("asked %q", got)
	}
}

// A session of ours is asked by its own account, and what it says goes no further.
func TestOwnSession(t *testing.T) {
	w := newWorld(t, "")
	a := w.Session("alice@a.test/r")
	w.sees("alice@a.test/r", c("sha-1", ver(simple)))
	sent := a.Sent()
	if len(sent) != 1 || sent[0].From().String() != "alice@a.test" {
		t.Fatalf("got %s", modtest.XML(sent))
	}
	a.Say("<iq type='result' id='" + sent[0].ID() + "' to='alice@a.test'>" + simple + "</iq>")
	if w.learned["alice@a.test/r"] != "[urn:a]" {
		t.Errorf("learned %v", w.learned)
	}
	if got := a.Sent(); len(got) > 0 {
		t.Errorf("got %s", modtest.XML(got))
	}
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{simple, head + "</query>", "<query xmlns='http://jabber.org/protocol/disco#info'><feature/><x xmlns='jabber:x:data'><field var='FORM_TYPE'/></x></query>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := stanza.ParseElement([]byte(s))
		if err != nil {
			return
		}
		sound := wellFormed(e)
		in := interestOf(e)
		if len(in.Nodes()) > maxNodes {
			t.Errorf("%d nodes", len(in.Nodes()))
		}
		for _, n := range in.Nodes() {
			if !in.Wants(n) || len(n) > maxNodeSize || sound && strings.Contains(n, "<") {
				t.Errorf("node %q", n)
			}
		}
		disco.Ver(e)
	})
}
