package caps

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

const (
	maxVer     = 256              // longest verification string that is looked at, in bytes
	maxNode    = 1024             // longest node
	maxAsked   = 3                // clients asked at once for one verification string
	maxWaiting = 10_000           // clients whose capabilities are not known yet
	maxShare   = 1000             // of these, one account's and those who want to know of them
	patience   = 30 * time.Second // before another client is asked
)

// ask is what we do not know yet and want to.
type ask struct {
	key   key
	asked []*question
	queue []*question // clients of the same capabilities that need not be asked if another answers
}

// question is a client that is to be told about, or is asked.
type question struct {
	pair
	ask   *ask
	node  string
	then  func(context.Context, *Interest)
	id    string
	timer *time.Timer // nil: not asked yet
}

// pair is who is asked and in whose name.
type pair struct{ client, by stanza.JID }

// Learn implements Service.
func (m *module) Learn(ctx context.Context, presence *stanza.Stanza, client, by stanza.JID, then func(context.Context, *Interest)) {
	i := presence.Find(ns, "c")
	if i < 0 {
		return
	}
	c := presence.Element(i)
	k, node := key{hash: c.Attr("hash"), ver: c.Attr("ver")}, c.Attr("node")
	if k.ver == "" || len(k.ver) > maxVer || len(k.hash) > maxVer || len(node) > maxNode {
		return
	}
	if hashes[k.hash] == nil {
		// XEP-0115 §5.4 items 1 and 2: what cannot be verified stands for this client alone.
		k.client = client.String()
	}
	m.mu.Lock()
	if in, ok := m.cache.Get(k); ok {
		m.mu.Unlock()
		then(ctx, in)
		return
	}
	// It may be another client of that name by now, that knows nothing of what the one before it was asked.
	next := m.forget(pair{client, by})
	if !m.stopped && len(m.current) < maxWaiting && m.share[client.Bare()] < maxShare {
		a := m.asks[k]
		if a == nil {
			a = &ask{key: k}
			m.asks[k] = a
		}
		q := &question{ask: a, pair: pair{client, by}, node: node + "#" + k.ver, then: then}
		m.current[q.pair] = q
		m.share[client.Bare()]++
		a.queue = append(a.queue, q)
		next = append(next, m.next(a)...)
	}
	m.mu.Unlock()
	m.send(ctx, next)
}

// forget drops the question about a client, if there is one, and returns those that can be asked instead. The caller locks.
func (m *module) forget(p pair) []*question {
	q := m.current[p]
	if q == nil {
		return nil
	}
	is := func(o *question) bool { return o == q }
	q.ask.asked = slices.DeleteFunc(q.ask.asked, is)
	q.ask.queue = slices.DeleteFunc(q.ask.queue, is)
	m.done(q)
	return m.next(q.ask)
}

// done takes a question out of the books. The caller locks.
func (m *module) done(q *question) {
	if q.timer != nil {
		q.timer.Stop()
		delete(m.questions, q.id)
	}
	delete(m.current, q.pair)
	if bare := q.client.Bare(); m.share[bare] > 1 {
		m.share[bare]--
	} else {
		delete(m.share, bare)
	}
}

// next takes the clients that are to be asked now. The caller locks.
func (m *module) next(a *ask) (out []*question) {
	for len(a.asked) < maxAsked && len(a.queue) > 0 {
		q := a.queue[0]
		a.queue = a.queue[1:]
		q.id = "caps-" + rand.Text()
		q.timer = time.AfterFunc(patience, func() {
			var b stream.Batch
			m.failed(stream.WithBatch(context.Background(), &b), q)
			b.Flush()
		})
		a.asked = append(a.asked, q)
		m.questions[q.id] = q
		out = append(out, q)
	}
	if len(a.asked) == 0 && m.asks[a.key] == a {
		delete(m.asks, a.key)
	}
	return out
}

// send asks (XEP-0115 §6.2).
func (m *module) send(ctx context.Context, list []*question) {
	for _, q := range list {
		var x stanza.XML
		x.Empty("query", "xmlns", stanza.NSDiscoInf, "node", q.node)
		st := stanza.New(stanza.KindIQ, stanza.TypeGet, q.id, q.by, q.client, x.Bytes())
		m.h.Router.Route(ctx, modules.NewPacket(st))
	}
}

// answered takes the answers to our questions out of what arrives for accounts.
func (m *module) answered(ctx context.Context, p *modules.Packet) error {
	st := p.Stanza
	if st.Kind != stanza.KindIQ || st.Type != stanza.TypeResult && st.Type != stanza.TypeError {
		return nil
	}
	m.mu.Lock()
	q := m.questions[st.ID()]
	m.mu.Unlock()
	if q == nil || p.From != q.client || p.To != q.by {
		return nil
	}
	var query *stanza.Element
	if st.Type == stanza.TypeResult {
		query = st.Payload()
	}
	if !wellFormed(query) {
		m.failed(ctx, q)
		return modules.Done
	}
	in := interestOf(query)
	if q.ask.key.client != "" || !verified(q.ask.key, query) {
		// XEP-0115 §5.4 item 3.9: the answer holds for the client that gave it, and for no other of that verification string.
		if m.failed(ctx, q) {
			q.then(ctx, in)
		}
		return modules.Done
	}
	m.settle(ctx, q, in)
	return modules.Done
}

// settle keeps what a verification string stands for, and tells all who wait for it.
func (m *module) settle(ctx context.Context, q *question, in *Interest) {
	a := q.ask
	m.mu.Lock()
	if m.asks[a.key] != a || !slices.Contains(a.asked, q) { // the answer came too late, or twice
		m.mu.Unlock()
		return
	}
	delete(m.asks, a.key)
	all := append(a.asked, a.queue...)
	for _, o := range all {
		m.done(o)
	}
	a.asked, a.queue = nil, nil
	m.cache.Put(a.key, in)
	m.mu.Unlock()
	for _, o := range all {
		o.then(ctx, in)
	}
}

// failed ends a question that brought nothing for others, and asks the next client. It returns false where the question has
// been dealt with.
func (m *module) failed(ctx context.Context, q *question) bool {
	a := q.ask
	m.mu.Lock()
	i := slices.Index(a.asked, q)
	if i < 0 || m.stopped {
		m.mu.Unlock()
		return false
	}
	a.asked = slices.Delete(a.asked, i, i+1)
	m.done(q)
	next := m.next(a)
	m.mu.Unlock()
	m.send(ctx, next)
	return true
}

// Stop implements modules.Module: nobody is asked any more.
func (m *module) Stop(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	for _, q := range m.questions {
		q.timer.Stop()
	}
	return nil
}
