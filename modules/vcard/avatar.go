package vcard

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/stanza"
)

// The nodes of XEP-0084.
const (
	nodeData     = "urn:xmpp:avatar:data"
	nodeMetadata = "urn:xmpp:avatar:metadata"
)

// picture is an avatar with its bytes.
type picture struct {
	hash  string // SHA-1, in lower case hexadecimal
	typ   string // image/png
	bytes []byte
}

// photo writes it as part of a vCard.
func (p *picture) photo() []byte {
	var x stanza.XML
	x.Start("PHOTO", "xmlns", ns).Leaf("TYPE", p.typ)
	return x.Leaf("BINVAL", base64.StdEncoding.EncodeToString(p.bytes)).Bytes()
}

// decode reads base64, in which white space does not matter (XEP-0153 §4.6).
func decode(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\r\n", r) {
			return -1
		}
		return r
	}, s))
}

func newPicture(b []byte, claimed string) *picture {
	sum := sha1.Sum(b)
	return &picture{hex.EncodeToString(sum[:]), typeOf(b, claimed), b}
}

// typeOf tells what a picture is by its first bytes, since what a client claims is a hint (XEP-0153 §5).
func typeOf(b []byte, claimed string) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case bytes.HasPrefix(b, []byte("GIF8")):
		return "image/gif"
	case len(b) > 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP":
		return "image/webp"
	case strings.HasPrefix(claimed, "image/") && len(claimed) <= 64:
		return claimed
	}
	return "image/png" // XEP-0084 §4.1: what everybody can show
}

// takePicture takes the picture out of a vCard; nil where there is none. One that cannot be read stays where it is.
func takePicture(vcard *stanza.Stanza) (p *picture) {
	for i := vcard.Find(ns, "PHOTO"); i >= 0; i = vcard.FindNext(i, ns, "PHOTO") {
		e := vcard.Element(i)
		b, err := decode(e.ChildText("BINVAL"))
		if err != nil || len(b) == 0 {
			continue
		}
		if vcard.Drop(i); p == nil {
			p = newPicture(b, e.ChildText("TYPE"))
		}
	}
	return p
}

// setAvatar publishes the picture of a vCard as the account's avatar (XEP-0398 §3.2), or that there is none. It is open to
// everybody where the account had no avatar before, as the vCard that it came with is; an avatar's access stays.
func (m *module) setAvatar(ctx context.Context, owner, by stanza.JID, p *picture) error {
	now, err := m.current(ctx, owner, owner)
	if err != nil {
		return err
	}
	if p == nil && now == nil || p != nil && now != nil && p.hash == now.hash {
		return nil
	}
	return m.pep.Edit(ctx, owner, by, func(e *pep.Edit) error {
		open := func(s *pep.Settings) { s.Access = pep.Open }
		if _, err := e.Ensure(nodeMetadata, open); err != nil {
			return err
		}
		var x stanza.XML
		if p == nil {
			return e.Publish(nodeMetadata, rand.Text(), x.Empty("metadata", "xmlns", nodeMetadata).Bytes()) // XEP-0084 §3.5
		}
		if _, err := e.Ensure(nodeData, open); err != nil {
			return err
		}
		var data stanza.XML
		data.Leaf("data", base64.StdEncoding.EncodeToString(p.bytes), "xmlns", nodeData)
		if err := e.Publish(nodeData, p.hash, data.Bytes()); err != nil {
			return err
		}
		x.Start("metadata", "xmlns", nodeMetadata)
		x.Empty("info", "bytes", strconv.Itoa(len(p.bytes)), "id", p.hash, "type", p.typ)
		return e.Publish(nodeMetadata, p.hash, x.Bytes())
	})
}

// info is what an account says of its avatar.
type info struct{ hash, typ string }

// current returns what the avatar is that somebody may see; nil where there is none.
func (m *module) current(ctx context.Context, owner, reader stanza.JID) (*info, error) {
	list, err := m.pep.Items(ctx, owner, reader, nodeMetadata, 1)
	if _, refused := err.(*stanza.Error); refused || err == nil && len(list) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := stanza.ParseElement(list[0].Payload)
	if err != nil || e.NS != nodeMetadata {
		return nil, nil
	}
	for _, c := range e.Children {
		// XEP-0398 §3.1: the one that does not point elsewhere. What follows goes into presence, so it must be a hash.
		hash := strings.ToLower(c.Attr("id"))
		if b, err := hex.DecodeString(hash); c.NS == nodeMetadata && c.Name == "info" && c.Attr("url") == "" && err == nil && len(b) == sha1.Size {
			return &info{hash, c.Attr("type")}, nil
		}
	}
	return nil, nil
}

// avatar returns the picture that somebody may see; nil where there is none.
func (m *module) avatar(ctx context.Context, owner, reader stanza.JID) (*picture, error) {
	in, err := m.current(ctx, owner, reader)
	if err != nil || in == nil {
		return nil, err
	}
	it, err := m.pep.Item(ctx, owner, reader, nodeData, in.hash)
	if _, refused := err.(*stanza.Error); refused || err == nil && it == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e, err := stanza.ParseElement(it.Payload)
	if err != nil || e.NS != nodeData || e.Name != "data" {
		return nil, nil
	}
	b, err := decode(e.Text)
	if err != nil {
		return nil, nil
	}
	p := newPicture(b, in.typ)
	if p.hash != in.hash { // XEP-0398 §3.1
		return nil, nil
	}
	return p, nil
}
