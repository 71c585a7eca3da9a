package main

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/clientcerts"
	"github.com/xmppd/xmppd/modules/devices"
	"github.com/xmppd/xmppd/stanza"
)

// certInfo is a certificate as `cert list` shows it.
type certInfo struct {
	Name        string    `json:"name"`
	Fingerprint string    `json:"fingerprint"`
	Added       time.Time `json:"added"`
	LastUsed    time.Time `json:"last_used,omitzero"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Restricted  bool      `json:"no_cert_management"`
	Disabled    bool      `json:"disabled"`
	Resources   []string  `json:"resources"`
}

// deviceInfo is a device as `device list` shows it.
type deviceInfo struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Software     string    `json:"software"`
	FirstSeen    time.Time `json:"first_seen,omitzero"`
	LastSeen     time.Time `json:"last_seen,omitzero"`
	Connected    bool      `json:"connected"`
	Auth         []string  `json:"auth"`
	Certificates []string  `json:"certificates"`
	Sessions     []string  `json:"sessions"`
}

func newDeviceInfo(d *devices.Device) deviceInfo {
	return deviceInfo{ID: d.ID, Name: d.Name, Software: d.Software, FirstSeen: d.FirstSeen, LastSeen: d.LastSeen,
		Connected: d.Connected(), Auth: d.Auth, Certificates: slices.Concat([]string{}, d.Certificates),
		Sessions: slices.Concat([]string{}, d.Sessions)}
}

// byAdmin is who does what the admin asks for, in the log.
const byAdmin = "admin"

// serviceFor finds an account that is there, and the service of one of its host's modules.
func serviceFor[T any](s *server, r *http.Request, jid, module string) (svc T, j stanza.JID, err error) {
	j, users, err := s.account(jid)
	if err != nil {
		return svc, j, err
	}
	if _, err := users.Get(r.Context(), j.Local()); err != nil {
		if errors.Is(err, auth.ErrNoUser) {
			err = &adminError{http.StatusNotFound, "there is no account " + j.String()}
		}
		return svc, j, err
	}
	svc, ok := modules.ServiceOf[T](s.loader, j.Domain())
	if !ok {
		return svc, j, &adminError{http.StatusNotFound, module + " is off on " + j.Domain()}
	}
	return svc, j, nil
}

func (s *server) apiCerts(r *http.Request, _ struct{}) ([]certInfo, error) {
	svc, j, err := serviceFor[*clientcerts.Service](s, r, r.URL.Query().Get("jid"), "mod_client_certs")
	if err != nil {
		return nil, err
	}
	list, err := svc.List(r.Context(), j)
	out := []certInfo{}
	for _, c := range list {
		out = append(out, certInfo{c.Name, c.Fingerprint, c.Added, c.LastUsed, c.NotBefore, c.NotAfter, c.Restricted, c.Disabled,
			slices.Concat([]string{}, c.Resources)})
	}
	return out, err
}

func (s *server) apiRevokeCert(r *http.Request, in struct {
	JID  string `json:"jid"`
	Name string `json:"name"`
}) (struct{}, error) {
	svc, j, err := serviceFor[*clientcerts.Service](s, r, in.JID, "mod_client_certs")
	if err != nil {
		return struct{}{}, err
	}
	err = svc.Revoke(r.Context(), j, in.Name, byAdmin)
	if errors.Is(err, clientcerts.ErrNoCertificate) {
		err = &adminError{http.StatusNotFound, j.String() + " has no certificate of that name; `xmppd cert list` shows them"}
	}
	return struct{}{}, err
}

func (s *server) apiDevices(r *http.Request, _ struct{}) ([]deviceInfo, error) {
	svc, j, err := serviceFor[*devices.Service](s, r, r.URL.Query().Get("jid"), "mod_devices")
	if err != nil {
		return nil, err
	}
	list, err := svc.List(r.Context(), j)
	out := []deviceInfo{}
	for _, d := range list {
		out = append(out, newDeviceInfo(d))
	}
	return out, err
}

func (s *server) apiRevokeDevice(r *http.Request, in struct {
	JID string `json:"jid"`
	ID  string `json:"id"`
}) (out deviceInfo, err error) {
	svc, j, err := serviceFor[*devices.Service](s, r, in.JID, "mod_devices")
	if err != nil {
		return out, err
	}
	d, err := svc.Revoke(r.Context(), j, in.ID, byAdmin)
	if errors.Is(err, devices.ErrNoDevice) {
		err = &adminError{http.StatusNotFound, j.String() + " has no device of that id; `xmppd device list` shows them"}
	}
	if err != nil {
		return out, err
	}
	return newDeviceInfo(d), nil
}
