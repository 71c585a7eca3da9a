package commands

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// run is an execution that waits for a form.
type run struct {
	id      string
	node    string
	user    stanza.JID // full: an execution is of one session (XEP-0050 §3.6)
	call    *modules.CommandCall
	stage   int
	touched time.Time
}

// runs are the executions that wait.
type runs struct {
	mu   sync.Mutex
	open map[string]*run
}

// refuse makes an error of XEP-0050 §4.4, the last column of its table.
func refuse(c stanza.Condition, app, text string) *stanza.Error {
	e := stanza.Err(c, text)
	e.App = []byte("<" + app + " xmlns='" + ns + "'/>")
	return e
}

// execute takes one step of a command (XEP-0050 §3.4).
func (m *module) execute(ctx context.Context, q *modules.IQ) ([]byte, error) {
	if !q.Set() || q.Payload == nil || q.Payload.Name != "command" {
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	c := m.find(q.Payload.Attr("node"))
	if c == nil {
		return nil, errNoNode
	}
	if !m.allowed(ctx, q, c) {
		m.drop(q.Payload.Attr("sessionid"), q.From)
		return nil, errForbidden
	}
	action := q.Payload.Attr("action")
	switch action {
	case "", "execute", "next", "prev", "complete", "cancel":
	default:
		return nil, refuse(stanza.BadRequest, "malformed-action", "there is no such action")
	}
	id := q.Payload.Attr("sessionid")
	if id == "" {
		if action != "" && action != "execute" {
			return nil, refuse(stanza.BadRequest, "bad-sessionid", "of which execution?")
		}
		return m.begin(ctx, q, c)
	}
	// The execution is ours while this step is taken: two steps at once would be one too many.
	r, err := m.take(id, q.From, c.Node)
	if err != nil {
		return nil, err
	}
	switch action {
	case "cancel":
		return m.answer(r, "canceled", nil), nil
	case "prev":
		if r.stage == 0 {
			m.put(r)
			return nil, refuse(stanza.BadRequest, "bad-action", "this is the first form")
		}
		r.stage--
		return m.show(ctx, c, r, nil)
	}
	last := r.stage == len(c.Stages)-1
	if action == "next" && last || action == "complete" && !last {
		m.put(r)
		return nil, refuse(stanza.BadRequest, "bad-action", "not at this form")
	}
	return m.submit(ctx, q, c, r)
}

// begin starts an execution.
func (m *module) begin(ctx context.Context, q *modules.IQ, c *modules.Command) ([]byte, error) {
	r := &run{id: rand.Text(), node: c.Node, user: q.From, call: &modules.CommandCall{User: q.From, Session: q.Origin}}
	if len(c.Stages) == 0 {
		return m.do(ctx, c, r)
	}
	return m.show(ctx, c, r, nil)
}

// submit takes the form of a stage, and goes on to the next, or to the deed.
func (m *module) submit(ctx context.Context, q *modules.IQ, c *modules.Command, r *run) ([]byte, error) {
	in, err := stanza.ParseForm(q.Payload.Child(stanza.NSData, "x"))
	if err != nil || in.Kind != "submit" { // XEP-0004 §3.1
		m.put(r)
		return nil, refuse(stanza.BadRequest, "bad-payload", "a form is needed that is submitted")
	}
	shown, err := c.Stages[r.stage].Form(ctx, r.call)
	if err != nil {
		return nil, err
	}
	if err := shown.Accepts(in); err != nil {
		m.put(r)
		return nil, refuse(stanza.BadRequest, "bad-payload", err.Error())
	}
	// What was not asked for is not kept: by the name of a later stage's field it would be taken for that, unchecked.
	in.Fields = slices.DeleteFunc(in.Fields, func(fd stanza.FormField) bool { return shown.Field(fd.Var) == nil })
	if check := c.Stages[r.stage].Check; check != nil {
		if err := check(ctx, r.call, in); err != nil {
			return m.show(ctx, c, r, err)
		}
	}
	r.call.Forms = append(r.call.Forms[:r.stage:r.stage], in)
	if r.stage++; r.stage < len(c.Stages) {
		return m.show(ctx, c, r, nil)
	}
	return m.do(ctx, c, r)
}

// show sends the form of a stage, filled with what was submitted for it before, and waits for it. why is what is wrong with
// what was submitted.
func (m *module) show(ctx context.Context, c *modules.Command, r *run, why error) ([]byte, error) {
	f, err := c.Stages[r.stage].Form(ctx, r.call)
	if err != nil {
		return nil, err
	}
	f.Kind = "form"
	if r.stage < len(r.call.Forms) {
		for i := range f.Fields {
			if fd := r.call.Forms[r.stage].Field(f.Fields[i].Var); fd != nil && f.Fields[i].Type != "text-private" {
				f.Fields[i].Values = fd.Values
			}
		}
	}
	m.put(r)
	var x stanza.XML
	forward := "next"
	if r.stage == len(c.Stages)-1 {
		forward = "complete"
	}
	x.Start("actions", "execute", forward)
	if r.stage > 0 {
		x.Empty("prev")
	}
	x.Empty(forward).End()
	if why != nil {
		x.Leaf("note", message(why), "type", "error")
	}
	x.Raw(f.Bytes())
	return m.answer(r, "executing", x.Bytes()), nil
}

// message is what of an error the user is told.
func message(err error) string {
	var se *stanza.Error
	if errors.As(err, &se) && se.Text != "" {
		return se.Text
	}
	return err.Error()
}

// do does the deed.
func (m *module) do(ctx context.Context, c *modules.Command, r *run) ([]byte, error) {
	res, err := c.Do(ctx, r.call)
	if err != nil {
		return nil, err
	}
	if c.Admin {
		m.h.Log.Info("command executed", append([]any{"node", c.Node, "account", r.user.Bare().String()}, modules.Audit(r.call.Session)...)...)
	}
	var x stanza.XML
	if res != nil && res.Note != "" {
		typ := "info"
		if res.Error {
			typ = "error" // XEP-0050 §3.6
		}
		x.Leaf("note", res.Note, "type", typ)
	}
	if res != nil && res.Form != nil {
		res.Form.Kind = "result"
		x.Raw(res.Form.Bytes())
	}
	return m.answer(r, "completed", x.Bytes()), nil
}

func (m *module) answer(r *run, status string, payload []byte) []byte {
	var x stanza.XML
	return x.Start("command", "xmlns", ns, "node", r.node, "sessionid", r.id, "status", status).Raw(payload).Bytes()
}

// put lets an execution wait. Beyond the bounds the oldest is given up, of the same user first.
func (m *module) put(r *run) {
	now := time.Now()
	r.touched = now
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open[r.id] = r
	var oldest, own *run
	n := 0
	for id, o := range m.open {
		if now.Sub(o.touched) > time.Duration(m.cfg.Timeout) {
			delete(m.open, id)
			continue
		}
		if oldest == nil || o.touched.Before(oldest.touched) {
			oldest = o
		}
		if o.user.Bare() == r.user.Bare() {
			n++
			if own == nil || o.touched.Before(own.touched) {
				own = o
			}
		}
	}
	switch {
	case n > m.cfg.MaxOfUser:
		delete(m.open, own.id)
	case len(m.open) > m.cfg.MaxOpen:
		delete(m.open, oldest.id)
	}
}

// take takes an execution out of those that wait, if it is of that session and command.
func (m *module) take(id string, user stanza.JID, node string) (*run, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.open[id]
	if r == nil || r.user != user || r.node != node {
		return nil, refuse(stanza.BadRequest, "bad-sessionid", "there is no such execution")
	}
	delete(m.open, id)
	if time.Since(r.touched) > time.Duration(m.cfg.Timeout) {
		return nil, refuse(stanza.NotAllowed, "session-expired", "this took too long")
	}
	return r, nil
}

// drop ends an execution of somebody who may not go on.
func (m *module) drop(id string, user stanza.JID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r := m.open[id]; r != nil && r.user == user {
		delete(m.open, id)
	}
}
