package main

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/invites"
	"github.com/xmppd/xmppd/stanza"
)

// inviteInfo is an invitation as `user invite` shows it.
type inviteInfo struct {
	URI     string    `json:"uri"`
	Expires time.Time `json:"expires"`
}

// apiInvite makes an invitation to make an account: of a JID, or any on a host.
func (s *server) apiInvite(r *http.Request, in struct {
	JID  string `json:"jid"`
	Days int    `json:"days"`
}) (*inviteInfo, error) {
	j, err := stanza.ParseJID(in.JID)
	if err != nil || !j.IsBare() {
		return nil, badRequest(in.JID + " is neither an account nor a host")
	}
	if s.users(j.Domain()) == nil {
		return nil, badRequest(j.Domain() + " is not one of this server's hosts (" + strings.Join(s.config().General.Hosts, ", ") + ")")
	}
	svc, ok := modules.ServiceOf[invites.Service](s.loader, j.Domain())
	if !ok {
		return nil, badRequest("mod_invites is not on for " + j.Domain())
	}
	link, err := svc.InviteAccount(r.Context(), j.Local(), time.Duration(in.Days)*24*time.Hour)
	var se *stanza.Error
	if errors.As(err, &se) {
		return nil, &adminError{http.StatusConflict, se.Text}
	}
	if err != nil {
		return nil, err
	}
	return &inviteInfo{link.URI, link.Expires}, nil
}

// apiReports lists what users have reported (XEP-0377), of all hosts or one.
func (s *server) apiReports(r *http.Request, _ struct{}) ([]blocking.Report, error) {
	out := []blocking.Report{}
	want := r.URL.Query().Get("host")
	for _, host := range s.config().General.Hosts {
		svc, ok := modules.ServiceOf[blocking.Reports](s.loader, host)
		if want != "" && want != host || !ok {
			continue
		}
		list, err := svc.Reports(r.Context())
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}
