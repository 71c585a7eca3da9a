package archive

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/modtest"
	"github.com/xmppd/xmppd/stanza"
)

// room is a module with an archive for each address of rooms.a.test. Who asks from another host may
// know who wrote what by nickname alone.
type room struct {
	Reader
	sent []string // of the last answer
}

// newRoom makes a host with that module.
func newRoom(t *testing.T, toml string) (*modtest.Host, *room) {
	t.Helper()
	r := &room{}
	info := modules.Define(modules.Info{Name: "mod_rooms"}, struct{}{}, func(struct{}) modules.Module { return r })
	return modtest.NewConfig(t, "a.test", toml, info), r
}

func (r *room) Start(_ context.Context, h *modules.Host) (err error) {
	r.Reader = Reader{Kind: Rooms, Host: h, Archive: h.Store.Archive("messages"), PageMax: func() int { return 20 }}
	r.IDs, err = NewIDs(h.Secret("archive IDs"))
	h.Serve("rooms.a.test", r.serve)
	return err
}

func (r *room) Stop(context.Context) error { return nil }

func (r *room) serve(ctx context.Context, p *modules.Packet) {
	v := View{Owner: p.To.Local(), JID: p.To.Bare()}
	payload, sent, err := r.Answer(ctx, &modules.IQ{Packet: p, Payload: p.Stanza.Payload()}, v, Routed{r.Host.Router})
	if err != nil {
		e, _ := modules.Answer(err)
		r.Host.Router.Bounce(ctx, p, e)
		return
	}
	r.sent = sent
	st := p.Stanza.Result(payload)
	r.Host.Router.Route(ctx, modules.NewPacket(st))
}

// say archives a message of an occupant, and returns its public ID.
func (r *room) say(t *testing.T, name, nick, payload string) string {
	t.Helper()
	st := stanza.New(stanza.KindMessage, stanza.TypeGroupchat, "", stanza.MustJID(name+"@rooms.a.test/"+nick), stanza.JID{}, []byte(payload))
	id, err := r.Archive.Append(t.Context(), name, NewRoomItem(time.Now(), st.From(), Encode(st)))
	if err != nil {
		t.Fatal(err)
	}
	return r.IDs.Public(name, id)
}

// answer is what came of a query.
type answer struct {
	iq      *stanza.Stanza
	results []*stanza.Element
	bodies  string
}

// ask lets somebody query a room.
func ask(t *testing.T, h *modtest.Host, s *modtest.Session, from, name, query string) (a answer) {
	t.Helper()
	iq := fmt.Sprintf("<iq type='set' id='q' from='%s' to='%s@rooms.a.test'><query xmlns='%s' queryid='1'>%s</query></iq>", from, name, ns, query)
	var got []*stanza.Stanza
	if s != nil {
		s.Say(iq)
		got = s.Sent()
	} else {
		h.Send(iq)
		got = h.Sent()
	}
	var bodies []string
	for _, st := range got {
		if st.From() != stanza.MustJID(name+"@rooms.a.test") || st.To() != stanza.MustJID(from) {
			t.Errorf("came: %s", st.AppendTo(nil))
		}
		if a.iq != nil {
			t.Errorf("behind the answer: %s", st.AppendTo(nil))
		}
		if st.Kind == stanza.KindIQ {
			a.iq = st
			continue
		}
		e := st.Element(st.Find(ns, "result"))
		a.results = append(a.results, e)
		bodies = append(bodies, e.Child(stanza.NSForward, "forwarded").Child(stanza.NSClient, "message").ChildText("body"))
	}
	if a.bodies = strings.Join(bodies, " "); a.iq == nil {
		t.Fatal("no answer")
	}
	return a
}

// fin is the end of a page.
func (a answer) fin() *stanza.Element { return a.iq.Payload() }
