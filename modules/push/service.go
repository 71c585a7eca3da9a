package push

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// service is a push service that an account has enabled, with the node that stands for a device.
type service struct {
	jid     stanza.JID
	node    string
	options []byte // the form of publish-options, as it is sent on; or nil
}

// services are those of an account: one immutable state, nil where there are none.
type services []*service

func (l services) index(jid stanza.JID, node string) int {
	return slices.IndexFunc(l, func(s *service) bool { return s.jid == jid && s.node == node })
}

// record is what is stored of a service. Options may hold a secret that the user's client has for the push service.
type record struct {
	Since   time.Time `json:"since"`
	Options string    `json:"options,omitempty"`
}

// kvServices is where services are kept. A key is the owner's localpart, a zero byte, the address, a zero byte and the node;
// the value is the format and a record as JSON.
const kvServices = "services"

const format = 1

const nodeSize = 1023 // bytes

func ownerKey(local string) []byte { return append([]byte(local), 0) }

func (s *service) key(local string) []byte {
	return append(append(s.jid.AppendTo(ownerKey(local)), 0), s.node...)
}

// read reads an account's services.
func (m *module) read(ctx context.Context, local string) (l services, err error) {
	prefix := ownerKey(local)
	var bad error
	err = m.h.Store.KV(kvServices).Scan(ctx, prefix, nil, func(k, v []byte) bool {
		var s *service
		if s, bad = parse(k[len(prefix):], v); bad != nil {
			return false
		}
		l = append(l, s)
		return true
	})
	if err = errors.Join(err, bad); err != nil {
		return nil, fmt.Errorf("read push services: %w", err)
	}
	return l, nil
}

func parse(key, value []byte) (*service, error) {
	addr, node, ok := bytes.Cut(key, []byte{0})
	j, err := stanza.ParseJID(string(addr))
	if !ok || err != nil || len(value) == 0 || value[0] != format {
		return nil, errors.New("push service of an unknown format")
	}
	var r record
	if err := json.Unmarshal(value[1:], &r); err != nil {
		return nil, err
	}
	s := &service{jid: j, node: string(node)}
	if r.Options != "" {
		s.options = []byte(r.Options)
	}
	return s, nil
}

// erase removes an account's services, whether they can be read or not.
func (m *module) erase(ctx context.Context, local string) error {
	return storage.DeletePrefix(ctx, m.h.Store, ownerKey(local), kvServices)
}

// query enables and disables services (XEP-0357 §5, §6).
func (m *module) query(ctx context.Context, q *modules.IQ) ([]byte, error) {
	switch {
	case q.Origin == nil || !q.Own():
		return nil, stanza.Err(stanza.ServiceUnavailable, "") // to strangers there is nothing here
	case q.Payload == nil || !q.Set():
		return nil, stanza.Err(stanza.BadRequest, "")
	}
	switch q.Payload.Name {
	case "enable":
		return nil, m.enable(ctx, q)
	case "disable":
		s, err := named(q.Payload)
		if err != nil {
			return nil, err
		}
		_, all := attr(q.Payload, "node")
		return nil, m.disable(ctx, q.From, func(o *service) bool { return o.jid == s.jid && (!all || o.node == s.node) })
	}
	return nil, stanza.Err(stanza.BadRequest, "it is enable or disable")
}

// named reads which service an element means.
func named(e *stanza.Element) (*service, error) {
	addr := e.Attr("jid")
	if addr == "" {
		return nil, stanza.Err(stanza.BadRequest, "which service?")
	}
	j, err := stanza.ParseJID(addr)
	if err != nil {
		return nil, stanza.Err(stanza.JIDMalformed, "")
	}
	return &service{jid: j, node: e.Attr("node")}, nil
}

func attr(e *stanza.Element, name string) (string, bool) {
	for _, a := range e.Attrs {
		if a.NS == "" && a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

// wanted reads a service as a client enables it, or a file has it: pushes will go there in the owner's name.
func (m *module) wanted(owner stanza.JID, e *stanza.Element) (*service, error) {
	s, err := named(e)
	if err != nil {
		return nil, err
	}
	switch {
	case s.jid.Bare() == owner:
		return nil, stanza.Err(stanza.NotAllowed, "you are not a push service")
	case len(s.node) > nodeSize || bytes.IndexByte([]byte(s.node), 0) >= 0:
		return nil, stanza.Err(stanza.NotAcceptable, "the node's name is too long")
	}
	if x := e.Child(stanza.NSData, "x"); x != nil {
		f, err := stanza.ParseForm(x)
		if err != nil || f.Type != nsOptions {
			return nil, stanza.Err(stanza.BadRequest, "the form has publish-options")
		}
		f.Kind = "submit" // XEP-0060 §7.1.5
		if s.options = f.Bytes(); len(s.options) > int(m.cfg.OptionsSize) {
			return nil, stanza.Err(stanza.NotAcceptable, "the options are too large")
		}
	}
	return s, nil
}

// enable adds a service, or gives one other options (XEP-0357 §5).
func (m *module) enable(ctx context.Context, q *modules.IQ) error {
	owner := q.From.Bare()
	s, err := m.wanted(owner, q.Payload)
	if err != nil {
		return err
	}
	if err := m.add(ctx, owner.Local(), s); err != nil {
		return err
	}
	key := deviceKey{owner.Local(), s.jid, s.node}
	enabled, _ := q.Origin.Value(enabledKey{}).([]deviceKey)
	if !slices.Contains(enabled, key) {
		q.Origin.SetValue(enabledKey{}, append(slices.Clip(enabled), key))
	}
	m.settle(key) // the device is here
	return nil
}

// disable removes services (XEP-0357 §6).
func (m *module) disable(ctx context.Context, owner stanza.JID, fits func(*service) bool) error {
	var gone services
	err := m.services.Change(ctx, owner.Local(), func(l services) (next services, err error) {
		for _, s := range l {
			if !fits(s) {
				next = append(next, s)
				continue
			}
			gone = append(gone, s)
			if err := m.h.Store.KV(kvServices).Delete(ctx, s.key(owner.Local())); err != nil {
				return nil, err
			}
		}
		return next, nil
	})
	for _, s := range gone {
		m.settle(deviceKey{owner.Local(), s.jid, s.node})
	}
	return err
}
