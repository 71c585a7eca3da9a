package main

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/authtoken"
	"github.com/xmppd/xmppd/modules/keystore"
)

// keyInfo is a key as `key list` shows it: never the key.
type keyInfo struct {
	Host        string `json:"host"` // "": of the server itself
	Name        string `json:"name"`
	Type        string `json:"type"`
	Bytes       int    `json:"bytes,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	Previous    string `json:"previous,omitempty"`
	File        string `json:"file,omitempty"`
}

func newKeyInfo(host string, k keystore.Key) keyInfo {
	return keyInfo{host, k.Name, k.Type, k.Size, k.Fingerprint, k.Previous, k.Path}
}

// keyHosts returns the hosts that a request is about: one of ours, or all.
func (s *server) keyHosts(host string) ([]string, error) {
	all := s.config().General.Hosts
	if host == "" {
		return all, nil
	}
	if !slices.Contains(all, host) {
		return nil, badRequest(host + " is not one of this server's hosts (" + strings.Join(all, ", ") + ")")
	}
	return []string{host}, nil
}

func (s *server) apiKeys(r *http.Request, _ struct{}) ([]keyInfo, error) {
	host := r.URL.Query().Get("host")
	hosts, err := s.keyHosts(host)
	if err != nil {
		return nil, err
	}
	out := []keyInfo{}
	if host == "" {
		file := filepath.Join(s.config().Resolve(s.config().General.DataDir), keyringName)
		out = append(out, keyInfo{Name: "server", Type: keystore.TypeFile, Bytes: s.keys.Size(), Fingerprint: s.keys.Fingerprint(), File: file})
	}
	for _, h := range hosts {
		svc, ok := modules.ServiceOf[keystore.Service](s.loader, h)
		if !ok {
			continue
		}
		list, err := svc.List()
		if err != nil {
			return nil, err
		}
		for _, k := range list {
			i := newKeyInfo(h, k)
			if k.Type == keystore.TypeRAM && s.c2s == nil {
				i.Bytes, i.Fingerprint = 0, "" // that of a server that never was
			}
			out = append(out, i)
		}
	}
	return out, nil
}

func (s *server) apiRotateKey(_ *http.Request, in struct {
	Name string `json:"name"`
	Host string `json:"host"`
}) ([]keyInfo, error) {
	hosts, err := s.keyHosts(in.Host)
	if err != nil {
		return nil, err
	}
	out := []keyInfo{}
	var errs []error
	for _, h := range hosts {
		svc, ok := modules.ServiceOf[keystore.Service](s.loader, h)
		if !ok {
			continue
		}
		switch k, err := svc.Rotate(in.Name, byAdmin); {
		case errors.Is(err, keystore.ErrNoKey):
		case errors.Is(err, keystore.ErrUnchanged):
			errs = append(errs, badRequest(fmt.Sprintf("%s: %v; write the new key there first", h, err)))
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", h, err))
		default:
			out = append(out, newKeyInfo(h, k))
		}
	}
	switch {
	case len(errs) > 0 && len(out) > 0:
		// Who repeats all of it would rotate these twice, which voids what was signed with them.
		var done []string
		for _, k := range out {
			done = append(done, k.Host)
		}
		return nil, errors.Join(append(errs, badRequest(fmt.Sprintf("rotated on %s: name the others when you repeat it, `xmppd key rotate %s HOST`",
			strings.Join(done, ", "), in.Name)))...)
	case len(errs) > 0:
		return nil, errors.Join(errs...)
	case len(out) > 0:
		return out, nil
	case in.Name == "server":
		return nil, badRequest("the server's own keyring is not rotated: what it protects could not be read any more")
	}
	return nil, &adminError{http.StatusNotFound, fmt.Sprintf("there is no key %q; `xmppd key list` shows them", in.Name)}
}

func (s *server) apiRevokeTokens(r *http.Request, in struct {
	JID      string `json:"jid"`
	Sessions bool   `json:"sessions"`
}) (map[string]int, error) {
	svc, j, err := serviceFor[authtoken.Service](s, r, in.JID, "mod_auth_token")
	if err != nil {
		return nil, err
	}
	n, err := svc.RevokeTokens(r.Context(), j, in.Sessions, byAdmin)
	return map[string]int{"sessions_ended": n}, err
}
