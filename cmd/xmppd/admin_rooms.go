package main

import (
	"errors"
	"net/http"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/muc"
	"github.com/xmppd/xmppd/stanza"
)

// roomDestroyed is the answer of POST /v1/rooms/destroy.
type roomDestroyed struct {
	JID string `json:"jid"`
}

// apiRooms lists the rooms of all hosts, or of one.
func (s *server) apiRooms(r *http.Request, _ struct{}) ([]muc.RoomInfo, error) {
	hosts, err := s.keyHosts(r.URL.Query().Get("host"))
	if err != nil {
		return nil, err
	}
	out := []muc.RoomInfo{}
	for _, host := range hosts {
		svc, ok := modules.ServiceOf[muc.Rooms](s.loader, host)
		if !ok {
			continue
		}
		list, err := svc.Rooms(r.Context())
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// apiDestroyRoom ends a room.
func (s *server) apiDestroyRoom(r *http.Request, in struct {
	JID    string `json:"jid"`
	Reason string `json:"reason"`
}) (*roomDestroyed, error) {
	j, err := stanza.ParseJID(in.JID)
	if err != nil || j.Local() == "" || !j.IsBare() {
		return nil, badRequest(in.JID + " is no room: `xmppd room list` shows their addresses")
	}
	for _, host := range s.config().General.Hosts {
		svc, ok := modules.ServiceOf[muc.Rooms](s.loader, host)
		if !ok || svc.RoomService() != j.Domain() {
			continue
		}
		err := svc.DestroyRoom(r.Context(), j.Local(), in.Reason)
		if errors.Is(err, muc.ErrNoRoom) {
			return nil, &adminError{http.StatusNotFound, "there is no room " + j.String()}
		}
		if err != nil {
			return nil, err
		}
		return &roomDestroyed{j.String()}, nil
	}
	return nil, badRequest(j.Domain() + " is no service of this server's where rooms are")
}
