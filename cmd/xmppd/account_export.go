package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// The namespaces of an account's own elements.
const (
	nsScram   = modules.NSPortable + "#scram"
	nsAccount = modules.NSPrivate + "account"
)

// exportAccount writes all that is stored of an account (XEP-0227). It goes out as it is read: an archive may be large.
func (s *server) exportAccount(ctx context.Context, w io.Writer, j stanza.JID, secrets bool) error {
	mover, ok := s.users(j.Domain()).(auth.Mover)
	if !ok {
		return errors.New("the accounts of this server cannot be taken elsewhere")
	}
	p, err := mover.Portrait(ctx, j.Local(), secrets)
	if errors.Is(err, auth.ErrNoUser) {
		return &adminError{http.StatusNotFound, "there is no account " + j.String()}
	}
	if err != nil {
		return err
	}
	host, user := string(stanza.AppendEscaped(nil, j.Domain())), string(stanza.AppendEscaped(nil, j.Local()))
	if _, err := fmt.Fprintf(w, "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='%s'>\n<host jid='%s'>\n<user name='%s'>\n", modules.NSPortable, host, user); err != nil {
		return err
	}
	if _, err := w.Write(append(portrait(p), '\n')); err != nil {
		return err
	}
	for _, m := range modules.ServicesOf[modules.Portable](s.loader, j.Domain()) {
		if err := m.Export(ctx, j, &modules.Export{Writer: w, Secrets: secrets}); err != nil {
			return err
		}
	}
	_, err = io.WriteString(w, "\n</user>\n</host>\n</server-data>\n")
	return err
}

// portrait writes what is known of the account itself.
func portrait(p auth.Portrait) []byte {
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	disabled := ""
	if p.Disabled {
		disabled = "true"
	}
	var x stanza.XML
	x.Empty("account", "xmlns", nsAccount, "created", stamp(p.Created), "password-changed", stamp(p.PasswordChanged), "last-login", stamp(p.LastLogin), "disabled", disabled)
	for _, c := range p.Credentials { // XEP-0227 §3.2
		b64 := base64.StdEncoding.EncodeToString
		x.Start("scram-credentials", "xmlns", nsScram, "mechanism", "SCRAM-"+c.Hash)
		x.Leaf("iter-count", strconv.Itoa(c.Iterations)).Leaf("salt", b64(c.Salt))
		x.Leaf("server-key", b64(c.ServerKey)).Leaf("stored-key", b64(c.StoredKey)).End()
	}
	return x.Bytes()
}

// apiExport answers with the file itself, in pieces as it is made. What fails on the way ends it without its last line, by
// which the command knows.
func (s *server) apiExport(w http.ResponseWriter, r *http.Request) {
	j, _, err := s.account(r.URL.Query().Get("jid"))
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/xml")
	out := &lateWriter{w: w}
	err = s.exportAccount(r.Context(), out, j, r.URL.Query().Get("secrets") == "true")
	switch {
	case err == nil:
		s.log.Info("account exported by the admin", "host", j.Domain(), "account", j.String(), "secrets", r.URL.Query().Get("secrets") == "true")
	case !out.begun:
		writeError(w, err)
	default:
		s.log.Error("account not exported", "account", j.String(), "err", err)
		panic(http.ErrAbortHandler) // the answer ends in the middle, and the client sees that it does
	}
}

// lateWriter remembers whether anything was written: until then there may be another answer.
type lateWriter struct {
	w     io.Writer
	begun bool
}

// Write implements io.Writer.
func (l *lateWriter) Write(b []byte) (int, error) {
	l.begun = true
	return l.w.Write(b)
}
