package modules

import (
	"bytes"
	"context"
	"io"

	"github.com/xmppd/xmppd/stanza"
)

// Portable is a service of each module that stores something of accounts: a person can have all that is stored of him, and
// take it elsewhere (XEP-0227). More than one module of a host provides it: see ServicesOf.
type Portable interface {
	// Claims names the elements that Import takes, each as its namespace, a blank and its name. Two modules that claim the
	// same is a mistake that a test finds.
	Claims() []string
	// Export writes what there is of an account, as complete elements, each with its namespace. Nothing is written where
	// there is nothing.
	Export(ctx context.Context, account stanza.JID, x *Export) error
	// Import takes one element that Export, or another server, wrote. Of a long list it may come in pieces, each in an
	// element of its own.
	Import(ctx context.Context, account stanza.JID, e *stanza.Stanza) error
}

// Export is where a Portable writes to.
type Export struct {
	io.Writer
	Secrets bool // what lets somebody in, here or elsewhere, is wanted too
}

// NSPortable is the namespace of XEP-0227. What that does not know stands in namespaces of our own that begin with
// NSPrivate.
const (
	NSPortable = "urn:xmpp:pie:0"
	NSPrivate  = "urn:xmppd:portable:"
)

// Alone writes a stanza as an element that stands outside of a stream: it says what its namespace is.
func Alone(st *stanza.Stanza) []byte {
	st = st.Clone()
	st.SetTo(st.To()) // so that it is written anew, and without the namespace that a stream declares
	b := st.AppendTo(nil)
	n := bytes.IndexAny(b, " \t\r\n/>")
	if n < 0 || st.Kind == stanza.KindOther {
		return b
	}
	out := append(make([]byte, 0, len(b)+32), b[:n]...)
	out = append(out, " xmlns='"+stanza.NSClient+"'"...)
	return append(out, b[n:]...)
}

// ServicesOf returns all services of a type that the modules in force on a host provide, for those who are no module.
func ServicesOf[T any](l *Loader, host string) []T {
	s := (*l.view.Load())[host]
	if s == nil {
		return nil
	}
	var all []T
	search(s.loader.regs(), func(svc any) bool {
		if v, ok := svc.(T); ok {
			all = append(all, v)
		}
		return false
	}, nil)
	return all
}
