package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
)

// importReport is what became of one account of a file.
type importReport struct {
	JID      string   `json:"jid"`
	Elements int      `json:"elements"` // that modules took
	Password bool     `json:"password"` // it can log in as before
	Skipped  []string `json:"skipped,omitempty"`
	Error    string   `json:"error,omitempty"`
}

// importAccounts reads a file of XEP-0227 and makes its accounts. One that fails is taken away again; one that is there already
// is left as it is. The error is for a file that cannot be read on.
func (s *server) importAccounts(ctx context.Context, r io.Reader) ([]importReport, error) {
	out := []importReport{}
	var a *arrival
	finish := func() {
		if a != nil {
			out = append(out, a.finish(ctx))
			a = nil
		}
	}
	err := readPortable(r, func(u portableUser, e *stanza.Stanza) error {
		if e == nil { // a new user begins
			finish()
			a = s.arrive(u)
			return nil
		}
		a.take(ctx, e)
		return nil
	})
	if err != nil && a != nil {
		a.fail(err)
	}
	finish()
	return out, err
}

// arrival is an account of a file that is being made. Its own elements come first, or the account is made without them when
// the first one of a module comes.
type arrival struct {
	s        *server
	j        stanza.JID
	portrait auth.Portrait
	password string
	made     bool
	failed   error
	takers   map[string]modules.Portable
	report   importReport
}

func (s *server) arrive(u portableUser) *arrival {
	a := &arrival{s: s, password: u.password, takers: map[string]modules.Portable{}}
	j, err := stanza.NewJID(u.name, u.host, "")
	a.report.JID = u.name + "@" + u.host
	switch {
	case err != nil || j.Local() == "":
		a.failed = fmt.Errorf("%q is no account", a.report.JID)
		return a
	case s.users(j.Domain()) == nil:
		a.failed = fmt.Errorf("%s is not one of this server's hosts", j.Domain())
		return a
	}
	a.j, a.report.JID, a.portrait.Local = j, j.String(), j.Local()
	for _, m := range modules.ServicesOf[modules.Portable](s.loader, j.Domain()) {
		for _, c := range m.Claims() {
			a.takers[c] = m
		}
	}
	return a
}

func (a *arrival) fail(err error) {
	if a.failed == nil {
		a.failed = err
	}
}

// take takes one element of the account.
func (a *arrival) take(ctx context.Context, e *stanza.Stanza) {
	if a.failed != nil {
		return
	}
	switch e.NS + " " + e.Name {
	case nsAccount + " account":
		a.readPortrait(e.Root())
		return
	case nsScram + " scram-credentials":
		if err := a.readCredential(e.Root()); err != nil {
			a.fail(err)
		}
		return
	}
	m := a.takers[e.NS+" "+e.Name]
	if m == nil {
		if what := e.Name + " (" + e.NS + ")"; !slices.Contains(a.report.Skipped, what) && len(a.report.Skipped) < 100 {
			a.report.Skipped = append(a.report.Skipped, what)
		}
		return
	}
	if err := a.make(ctx); err != nil {
		a.fail(err)
		return
	}
	if err := m.Import(ctx, a.j, e); err != nil {
		a.fail(fmt.Errorf("%s (%s): %w", e.Name, e.NS, err))
		return
	}
	a.report.Elements++
}

// make makes the account. Until all of it is there it is disabled: nobody comes in half-way, and after a crash it does not look
// like a whole one.
func (a *arrival) make(ctx context.Context) error {
	if a.made {
		return nil
	}
	mover, ok := a.s.users(a.j.Domain()).(auth.Mover)
	if !ok {
		return errors.New("the accounts of this server cannot be brought in")
	}
	p := a.portrait
	p.Disabled = true
	if err := mover.CreateFrom(ctx, p, a.password); err != nil {
		if errors.Is(err, auth.ErrExists) {
			return errors.New("there is an account of that name; delete it first, or leave it")
		}
		return err
	}
	a.made = true
	a.report.Password = len(a.portrait.Credentials) > 0 || a.password != ""
	return nil
}

// finish makes the account if nothing has yet, and opens it, or takes it away again if something failed.
func (a *arrival) finish(ctx context.Context) importReport {
	if a.failed == nil {
		a.fail(a.make(ctx))
	}
	if a.failed == nil && !a.portrait.Disabled {
		a.fail(a.s.users(a.j.Domain()).SetDisabled(ctx, a.j.Local(), false))
	}
	if a.failed != nil {
		a.report.Error = a.failed.Error()
		if a.made {
			if err := a.s.users(a.j.Domain()).Delete(modules.WithUndo(ctx), a.j.Local()); err != nil {
				a.report.Error += "; and what there is of it could not be taken away: " + err.Error()
			}
		}
		a.report.Elements, a.report.Password = 0, false
	} else {
		a.s.log.Info("account imported by the admin", "host", a.j.Domain(), "account", a.j.String(), "elements", a.report.Elements)
	}
	return a.report
}

func (a *arrival) readPortrait(e *stanza.Element) {
	read := func(name string) time.Time {
		t, _ := time.Parse(time.RFC3339Nano, e.Attr(name)) // the zero time where it is missing
		return t
	}
	a.portrait.Created, a.portrait.LastLogin = read("created"), read("last-login")
	a.portrait.Disabled = e.Attr("disabled") == "true"
}

// readCredential reads what a password is checked with (XEP-0227 §3.2).
func (a *arrival) readCredential(e *stanza.Element) error {
	if a.made {
		return errors.New("scram-credentials come before what modules keep")
	}
	n, err := strconv.Atoi(strings.TrimSpace(e.ChildText("iter-count")))
	c := auth.SCRAMCredential{Hash: strings.TrimPrefix(e.Attr("mechanism"), "SCRAM-"), Iterations: n}
	for name, to := range map[string]*[]byte{"salt": &c.Salt, "server-key": &c.ServerKey, "stored-key": &c.StoredKey} {
		if err == nil {
			*to, err = base64.StdEncoding.DecodeString(strings.TrimSpace(e.ChildText(name)))
		}
	}
	if err != nil {
		return errors.New("scram-credentials that cannot be read")
	}
	if slices.ContainsFunc(a.portrait.Credentials, func(o auth.SCRAMCredential) bool { return o.Hash == c.Hash }) {
		return errors.New("scram-credentials of one mechanism twice")
	}
	a.portrait.Credentials = append(a.portrait.Credentials, c)
	return nil
}

// importResult is the answer to POST /v1/import.
type importResult struct {
	Accounts []importReport `json:"accounts"`
	Error    string         `json:"error,omitempty"` // where the file could not be read on
}

func (s *server) apiImport(w http.ResponseWriter, r *http.Request) {
	list, err := s.importAccounts(context.WithoutCancel(r.Context()), r.Body)
	res := importResult{Accounts: list}
	if err != nil {
		res.Error = err.Error()
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(res)
}
