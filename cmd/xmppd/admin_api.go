package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/secret"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/stream"
)

// adminError is an error that the admin made, with the HTTP status that says so.
type adminError struct {
	status int
	text   string
}

func (e *adminError) Error() string { return e.text }

func badRequest(text string) error { return &adminError{http.StatusBadRequest, text} }

// adminAPI returns the handlers that the commands talk to, over the socket or in their own process.
func (s *server) adminAPI() http.Handler {
	mux := http.NewServeMux()
	handle(mux, "GET /v1/users", s.apiUsers)
	handle(mux, "POST /v1/users/{what}", s.apiUser)
	handle(mux, "POST /v1/users/invite", s.apiInvite)
	mux.HandleFunc("GET /v1/export", s.apiExport)
	mux.HandleFunc("POST /v1/import", s.apiImport)
	mux.HandleFunc("GET /v1/backup", s.apiBackup)
	handle(mux, "GET /v1/verify", s.apiVerify)
	handle(mux, "GET /v1/reports", s.apiReports)
	handle(mux, "GET /v1/sessions", s.apiSessions)
	handle(mux, "POST /v1/sessions/close", s.apiCloseSessions)
	handle(mux, "GET /v1/devices", s.apiDevices)
	handle(mux, "POST /v1/devices/revoke", s.apiRevokeDevice)
	handle(mux, "GET /v1/certs", s.apiCerts)
	handle(mux, "POST /v1/certs/revoke", s.apiRevokeCert)
	handle(mux, "POST /v1/tokens/revoke", s.apiRevokeTokens)
	handle(mux, "GET /v1/keys", s.apiKeys)
	handle(mux, "POST /v1/keys/rotate", s.apiRotateKey)
	handle(mux, "GET /v1/rooms", s.apiRooms)
	handle(mux, "POST /v1/rooms/destroy", s.apiDestroyRoom)
	handle(mux, "GET /v1/modules", s.apiModules)
	handle(mux, "POST /v1/reload", s.apiReload)
	return mux
}

// handle wraps a function from a JSON request to a JSON answer.
func handle[In, Out any](mux *http.ServeMux, pattern string, fn func(*http.Request, In) (Out, error)) {
	mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		var in In
		if r.Method != http.MethodGet {
			dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&in); err != nil {
				writeError(w, badRequest("the request is not the JSON expected here"))
				return
			}
		}
		out, err := fn(r, in)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(out)
	})
}

func writeError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var ae *adminError
	if errors.As(err, &ae) {
		status = ae.status
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"error": err.Error()})
}

// userRequest is the body of POST /v1/users/{add,passwd,delete,disable,enable}, as it is read.
type userRequest struct {
	JID      string      `json:"jid"`
	Password secret.Text `json:"password"`
}

// userCall makes that body. It is the one place where a password is written.
func userCall(jid string, password secret.Text) map[string]string {
	return map[string]string{"jid": jid, "password": password.Reveal()}
}

// userInfo is an account as `user list` shows it.
type userInfo struct {
	JID             string    `json:"jid"`
	Created         time.Time `json:"created"`
	PasswordChanged time.Time `json:"password_changed"`
	LastLogin       time.Time `json:"last_login,omitzero"`
	Disabled        bool      `json:"disabled"`
	Sessions        int       `json:"sessions"`
}

// account finds the host's accounts for a bare JID of ours.
func (s *server) account(text string) (stanza.JID, auth.Users, error) {
	j, err := stanza.ParseJID(text)
	if err != nil {
		return j, nil, badRequest(text + " is not a JID: " + err.Error())
	}
	if j.Local() == "" || !j.IsBare() {
		return j, nil, badRequest(text + " is not an account: it should look like you@" + s.config().General.Hosts[0])
	}
	users := s.users(j.Domain())
	if users == nil {
		return j, nil, badRequest(j.Domain() + " is not one of this server's hosts (" + strings.Join(s.config().General.Hosts, ", ") + "): add it to general.hosts first")
	}
	return j, users, nil
}

func (s *server) apiUser(r *http.Request, in userRequest) (struct{}, error) {
	var none struct{}
	j, users, err := s.account(in.JID)
	if err != nil {
		return none, err
	}
	ctx := r.Context()
	switch r.PathValue("what") {
	case "add":
		err = users.Create(ctx, j.Local(), in.Password.Reveal())
	case "passwd":
		err = users.SetPassword(ctx, j.Local(), in.Password.Reveal())
	case "delete":
		err = users.Delete(ctx, j.Local())
	case "disable":
		err = users.SetDisabled(ctx, j.Local(), true)
	case "enable":
		err = users.SetDisabled(ctx, j.Local(), false)
	default:
		return none, &adminError{http.StatusNotFound, "no such request"}
	}
	switch {
	case errors.Is(err, auth.ErrExists):
		err = &adminError{http.StatusConflict, j.String() + " exists already; `xmppd user passwd` sets its password"}
	case errors.Is(err, auth.ErrNoUser):
		err = &adminError{http.StatusNotFound, "there is no account " + j.String()}
	case errors.Is(err, auth.ErrPolicy):
		err = badRequest(strings.TrimPrefix(err.Error(), "auth: "))
	case err == nil:
		s.log.Info("account changed by the admin", "host", j.Domain(), "account", j.String(), "change", r.PathValue("what"))
	}
	return none, err
}

func (s *server) apiUsers(r *http.Request, _ struct{}) ([]userInfo, error) {
	out := []userInfo{}
	want := r.URL.Query().Get("jid")
	for _, host := range s.config().General.Hosts {
		if want != "" && want != host && !strings.HasSuffix(want, "@"+host) {
			continue
		}
		err := s.users(host).List(r.Context(), func(a auth.Account) bool {
			j, err := stanza.NewJID(a.Local, host, "")
			if err == nil && (want == "" || want == host || want == j.String()) {
				out = append(out, userInfo{j.String(), a.Created, a.PasswordChanged, a.LastLogin, a.Disabled, len(s.router.Sessions(j))})
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sessionInfo is a session as `session list` shows it.
type sessionInfo struct {
	ID         string    `json:"id"`
	JID        string    `json:"jid"`
	Address    string    `json:"address"`
	TLS        string    `json:"tls"`
	Mechanism  string    `json:"mechanism"`
	Started    time.Time `json:"started"`
	LastIn     time.Time `json:"last_stanza"`
	Available  bool      `json:"available"`
	Priority   int8      `json:"priority"`
	SM         bool      `json:"stream_management"`
	Inactive   bool      `json:"inactive"`
	Hibernated bool      `json:"hibernated"`
	Waiting    int       `json:"bytes_waiting"`
	Unacked    int       `json:"stanzas_unacknowledged"`
	// Peer is set where it is another server's stream and no client's session; JID is its domain then.
	Peer *peerInfo `json:"peer,omitempty"`
}

// peerInfo is what is to be said of another server's stream alone.
type peerInfo struct {
	Direction string     `json:"direction"` // in: the other server opened it; out: this one did
	BothWays  bool       `json:"both_ways"` // stanzas go in both directions (XEP-0288)
	Pairs     []peerPair `json:"pairs"`
}

// peerPair is a pair of domains that a stream carries stanzas for, and how the other server has proved to be its own.
type peerPair struct {
	Local  string    `json:"local"`
	Remote string    `json:"remote"`
	Method string    `json:"method"`
	Since  time.Time `json:"since"`
}

func (s *server) apiSessions(r *http.Request, _ struct{}) ([]sessionInfo, error) {
	out := []sessionInfo{}
	want := r.URL.Query().Get("jid")
	s.eachSession(want, func(ses modules.Session) {
		in := ses.Info()
		si := sessionInfo{ID: ses.ID(), JID: ses.JID().String(), Mechanism: in.Mechanism, Started: in.Started, LastIn: in.LastIn,
			SM: in.SM, Inactive: in.Inactive, Hibernated: ses.Hibernated(), Waiting: in.Waiting, Unacked: in.Unacked, TLS: "none"}
		if in.Remote != nil {
			si.Address = in.Remote.String()
		}
		if in.TLS != nil {
			si.TLS = stream.TLSVersionName(in.TLS.Version)
		}
		if p := ses.Presence(); p != nil {
			si.Available, si.Priority = true, p.Priority
		}
		out = append(out, si)
	})
	return append(out, s.peerSessions(want)...), nil
}

// eachSession visits the sessions of all hosts whose full JID, bare JID, host or id is want; all where want is empty.
func (s *server) eachSession(want string, fn func(modules.Session)) {
	for _, host := range s.config().General.Hosts {
		s.router.Each(host, func(ses modules.Session) bool {
			j := ses.JID()
			if want == "" || want == j.String() || want == j.Bare().String() || want == host || want == ses.ID() {
				fn(ses)
			}
			return true
		})
	}
}

func (s *server) apiCloseSessions(_ *http.Request, in struct {
	JID  string `json:"jid"`
	Text string `json:"text"`
}) (map[string]int, error) {
	if in.JID == "" {
		return nil, badRequest("which session? a full JID, an account, a host, another server's domain, or an id")
	}
	n := 0
	s.eachSession(in.JID, func(ses modules.Session) {
		n++
		ses.Close(&stream.Error{Condition: "reset", Text: in.Text}) // RFC 6120 §4.9.3.16
	})
	n += s.closePeers(in.JID, in.Text)
	return map[string]int{"closed": n}, nil
}

func (s *server) apiModules(*http.Request, struct{}) ([]modules.HostState, error) {
	return s.loader.Describe(), nil
}

func (s *server) apiReload(r *http.Request, in struct {
	DryRun bool `json:"dry_run"`
}) (*reloadReport, error) {
	return s.reload(context.WithoutCancel(r.Context()), in.DryRun)
}
