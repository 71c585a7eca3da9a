package devices

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// How a device gets in, as in <auth/>.
const (
	byPassword    = "password"
	byFAST        = "fast"
	byGrant       = "grant"
	byCertificate = "certificate"
)

// kindFAST is that of the tokens of XEP-0484 among the credentials.
const kindFAST = "fast"

// Device is what has access to an account and can have it taken away.
type Device struct {
	ID           string // opaque; it stays the same as long as what the device has does
	Name         string // of the device, or the user's for its certificate, or the resource
	Software     string
	FirstSeen    time.Time // zero: not known
	LastSeen     time.Time // zero: it never logged in
	Auth         []string  // password, fast, grant, certificate: how it gets in
	Certificates []string  // the user's names for them
	Sessions     []string  // full JIDs, of those that wait to be resumed too

	ids      []string // all that name it
	refs     []string // of its credentials
	sessions []modules.Session
	admitted bool // one of its credentials would let it in now
}

// Connected tells whether the device has a session, be it one that waits to be resumed.
func (d *Device) Connected() bool { return len(d.Sessions) > 0 }

// devices returns what has access to an account, last used first.
func (m *module) devices(ctx context.Context, account stanza.JID) ([]*Device, error) {
	creds, err := modules.ListCredentials(ctx, m.h, account.Bare())
	if err != nil {
		return nil, err
	}
	g := groups{}
	for _, c := range creds {
		g.join(c.Ref(), client(c.Client), c.Parent)
	}
	sessions := m.h.Router.Sessions(account.Bare())
	for _, s := range sessions {
		in := s.Info()
		g.join(append([]string{sessionKey(s), client(in.Agent.Client)}, modules.CredentialsOf(in.Details)...)...)
	}
	byRoot := map[string]*Device{}
	of := func(key string) *Device {
		root := g.root(key)
		if byRoot[root] == nil {
			byRoot[root] = &Device{}
		}
		return byRoot[root]
	}
	now := time.Now()
	for _, c := range creds {
		of(c.Ref()).addCredential(c, now)
	}
	for _, s := range sessions {
		of(sessionKey(s)).addSession(s)
	}
	for key := range g {
		if d := byRoot[g.root(key)]; d != nil {
			d.ids = append(d.ids, key)
		}
	}
	var list []*Device
	for _, d := range byRoot {
		if d.admitted || len(d.sessions) > 0 { // else all it has is known only so that it can be told why it is refused
			d.finish()
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b *Device) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), b.FirstSeen.Compare(a.FirstSeen), strings.Compare(a.ID, b.ID))
	})
	return list, nil
}

// client is the key of an installation of a client.
func client(hash string) string {
	if hash == "" {
		return ""
	}
	return "client:" + hash
}

// sessionKey tells a session from those before a restart of the server, whose numbers were the same.
func sessionKey(s modules.Session) string {
	return "session:" + s.ID() + s.Info().Started.UTC().Format(time.RFC3339Nano)
}

func (d *Device) addCredential(c modules.Credential, now time.Time) {
	d.admitted = d.admitted || c.Valid(now)
	d.refs = append(d.refs, c.Ref())
	d.seen(c.Created, c.LastUsed)
	d.Software, d.Name = cmp.Or(d.Software, c.Software), cmp.Or(d.Name, c.Device)
	d.by(how(c.Kind))
	switch c.Kind {
	case modules.KindCertificate:
		d.Certificates = append(d.Certificates, c.Name)
	case kindFAST:
		if c.Parent == "" { // it was given to who knew the password
			d.by(byPassword)
		}
	}
}

func (d *Device) addSession(s modules.Session) {
	in := s.Info()
	d.sessions = append(d.sessions, s)
	d.Sessions = append(d.Sessions, s.JID().String())
	d.seen(in.Started, in.Started)
	d.seen(in.Started, in.LastIn)
	d.Software, d.Name = cmp.Or(d.Software, in.Agent.Software), cmp.Or(d.Name, in.Agent.Device)
	refs := modules.CredentialsOf(in.Details)
	switch {
	case len(refs) > 0:
		kind, _, _ := strings.Cut(refs[0], ":")
		d.by(how(kind))
	case in.Mechanism == "PLAIN" || strings.HasPrefix(in.Mechanism, "SCRAM-"):
		d.by(byPassword)
	default:
		d.by(byGrant)
	}
}

// how says how a credential of a kind gets in.
func how(kind string) string {
	switch kind {
	case modules.KindCertificate:
		return byCertificate
	case kindFAST:
		return byFAST
	}
	return byGrant
}

func (d *Device) by(how string) {
	if !slices.Contains(d.Auth, how) {
		d.Auth = append(d.Auth, how)
	}
}

// seen widens the time in which the device was seen.
func (d *Device) seen(first, last time.Time) {
	if !first.IsZero() && (d.FirstSeen.IsZero() || first.Before(d.FirstSeen)) {
		d.FirstSeen = first
	}
	if last.After(d.LastSeen) {
		d.LastSeen = last
	}
}

// finish names the device when all that belongs to it is known.
func (d *Device) finish() {
	slices.Sort(d.Auth)
	slices.Sort(d.Certificates)
	slices.Sort(d.Sessions)
	// What lasts longest gives the device its id.
	slices.SortFunc(d.ids, func(a, b string) int { return cmp.Or(lasting(a)-lasting(b), strings.Compare(a, b)) })
	for i, key := range d.ids {
		sum := sha256.Sum256([]byte("xmppd device\x00" + key))
		d.ids[i] = hex.EncodeToString(sum[:6])
	}
	d.ID = d.ids[0]
	if d.Name == "" && len(d.Certificates) > 0 {
		d.Name = d.Certificates[0]
	}
	if d.Name == "" && len(d.sessions) > 0 {
		d.Name = d.sessions[0].JID().Resource()
	}
}

// lasting orders keys by how long they stay the same.
func lasting(key string) int {
	switch kind, _, _ := strings.Cut(key, ":"); kind {
	case modules.KindCertificate:
		return 0
	case "client":
		return 1
	case "session":
		return 3
	}
	return 2 // tokens
}

// groups joins keys that belong together: each key has another one of its group, the root itself.
type groups map[string]string

// join puts keys into one group; empty ones are none.
func (g groups) join(keys ...string) {
	first := ""
	for _, k := range keys {
		switch {
		case k == "":
		case first == "":
			first = g.root(k)
		default:
			g[g.root(k)] = first
		}
	}
}

// root is the key that stands for a group.
func (g groups) root(key string) string {
	next, ok := g[key]
	if !ok {
		g[key] = key
		return key
	}
	if next == key {
		return key
	}
	r := g.root(next)
	g[key] = r
	return r
}
