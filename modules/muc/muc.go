// Package muc is mod_muc: rooms, in which many people talk (XEP-0045). They live on a domain of their own, conference.HOST.
//
// # Implementation notes
//
//   - A room is a queue of tasks and a state that only the goroutine which works the queue off may touch: see queue.go. There is
//     no goroutine for each room: who brings a task works the queue off, and others' tasks with it.
//   - What is told to all is on disk before. Messages that wait at the same time are archived in one transaction.
//   - Presence and messages are made once, as all get them, and only to is set for each.
//   - Who is in a room is in memory alone. After a restart clients notice that they are not in it any more (XEP-0410) and
//     enter again; what the room is, its members and its archive are on disk.
package muc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/stanza"
)

// Config is [modules.mod_muc].
type Config struct {
	Subdomain string `toml:"subdomain" doc:"rooms have addresses at this name below the host: conference.HOST"`
	Name      string `toml:"name" doc:"what clients call the service"`
	Create    string `toml:"create" doc:"who may make rooms: local (accounts of this host), admins (of general.admins), or anyone"`

	RoomsPerAccount int         `toml:"rooms_per_account" doc:"rooms that one address may have made; 0: no limit"`
	MaxOccupants    int         `toml:"max_occupants" doc:"people in one room, and what a new room allows"`
	MaxAffiliations int         `toml:"max_affiliations" doc:"owners, admins, members and banned addresses of one room"`
	NickSize        config.Size `toml:"nick_size" doc:"longest nickname"`
	HistoryMax      int         `toml:"history_max" doc:"messages that a room may show to who enters"`

	RoomPersistent  bool   `toml:"room_persistent" doc:"a new room stays when the last one leaves, unless its owner says otherwise"`
	RoomPublic      bool   `toml:"room_public" doc:"a new room is listed"`
	RoomMembersOnly bool   `toml:"room_members_only" doc:"a new room is for members"`
	RoomWhois       string `toml:"room_whois" doc:"who sees the real addresses in a new room: moderators or anyone"`
	RoomArchive     bool   `toml:"room_archive" doc:"a new room has an archive (XEP-0313)"`
	RoomHistory     int    `toml:"room_history" doc:"messages that a new room shows to who enters"`

	Retention     config.Duration `toml:"retention" doc:"how long messages stay in rooms' archives; 0: for ever"`
	QuotaMessages int             `toml:"quota_messages" doc:"messages in one room's archive; beyond it the oldest go; 0: no limit"`
	QuotaSize     config.Size     `toml:"quota_size" doc:"the same in bytes"`
	PageMax       int             `toml:"page_max" doc:"messages of one page, at most"`
}

// Check implements the check of the configuration.
func (c *Config) Check(errs *config.Errors) {
	if modules.Subdomain(c.Subdomain, "example.org") == "" {
		errs.Add("subdomain", "%q can be no part of a domain", c.Subdomain)
	}
	if !slices.Contains([]string{createLocal, createAdmins, createAnyone}, c.Create) {
		errs.Add("create", `must be "local", "admins" or "anyone", is %q`, c.Create)
	}
	if c.RoomWhois != whoisModerators && c.RoomWhois != whoisAnyone {
		errs.Add("room_whois", `must be "moderators" or "anyone", is %q`, c.RoomWhois)
	}
	for _, n := range []struct {
		key       string
		val       int
		low, high int
	}{
		{"rooms_per_account", c.RoomsPerAccount, 0, 1_000_000},
		{"max_occupants", c.MaxOccupants, 1, 100_000},
		{"max_affiliations", c.MaxAffiliations, 1, 1_000_000},
		{"nick_size", int(c.NickSize), 1, 1023},
		{"history_max", c.HistoryMax, 0, 1000},
		{"room_history", c.RoomHistory, 0, 1000},
		{"quota_messages", c.QuotaMessages, 0, 1 << 40},
		{"quota_size", int(c.QuotaSize), 0, 1 << 50},
		{"page_max", c.PageMax, 1, 100},
	} {
		if n.val < n.low || n.val > n.high {
			errs.Add(n.key, "must be from %d to %d", n.low, n.high)
		}
	}
	if r := time.Duration(c.Retention); r < 0 || r > 0 && r < time.Hour {
		errs.Add("retention", "must be at least an hour, or 0, which is for ever")
	}
}

// Services tells which domain the module serves on a host: none where the host is an address.
func (c Config) Services(host string) []string {
	if d := modules.Subdomain(c.Subdomain, host); d != "" {
		return []string{d}
	}
	return nil
}

// The values of Config.Create.
const (
	createLocal  = "local"
	createAdmins = "admins"
	createAnyone = "anyone"
)

// Defaults are the values of an empty section.
var Defaults = Config{
	Subdomain: "conference", Name: "Rooms", Create: createLocal,
	RoomsPerAccount: 50, MaxOccupants: 1000, MaxAffiliations: 5000, NickSize: 128, HistoryMax: 50,
	RoomPublic: true, RoomWhois: whoisModerators, RoomArchive: true, RoomHistory: 20,
	Retention: config.Duration(90 * 24 * time.Hour), QuotaMessages: 100_000, QuotaSize: 100 << 20, PageMax: 100,
}

// Info describes mod_muc.
var Info = modules.Define(modules.Info{
	Name:    "mod_muc",
	Summary: "rooms, in which many people talk",
	Default: true,
	XEPs: []modules.XEP{
		{Number: 45, Version: "1.35.5", Note: "no registration with a room (§7.10, §9.9): nicknames are not reserved"},
		{Number: 59, Version: "1.0", Note: "for the list of rooms: forwards"},
		{Number: 249, Version: "1.2"},
		{Number: 410, Version: "1.1.0"},
		{Number: 421, Version: "1.0.1"},
		{Number: 425, Version: "0.3.0", Note: "also as before 0.3; a message that was retracted is removed, and no tombstone is left in its place (§4)"},
	},
}, Defaults, func(c Config) modules.Module { return newModule(c) })

type module struct {
	cfg     atomic.Pointer[Config]
	h       *modules.Host
	domain  stanza.JID // of the service
	secret  []byte     // of occupants' IDs
	store   store
	reader  archive.Reader // owner: localpart
	sweep   modules.Sweeper
	started time.Time

	ended atomic.Bool // nobody is in a room any more

	mu    sync.Mutex
	rooms map[string]*room   // by localpart: those in memory
	fresh map[stanza.JID]int // rooms that an address is making and that are not stored yet
}

func newModule(c Config) *module {
	m := &module{rooms: map[string]*room{}, fresh: map[stanza.JID]int{}}
	m.cfg.Store(&c)
	return m
}

// Start registers all that the module offers.
func (m *module) Start(_ context.Context, h *modules.Host) error {
	cfg := m.cfg.Load()
	served := cfg.Services(h.Name)
	if len(served) == 0 {
		h.Log.Warn("no rooms: the host is an address, which has no names below it")
		return nil
	}
	domain, err := stanza.NewJID("", served[0], "")
	if err != nil {
		return err
	}
	m.h, m.domain, m.secret = h, domain, h.Secret("occupants")
	m.store, m.started = store{h.Store}, time.Now()
	ids, err := archive.NewIDs(h.Secret("archive IDs"))
	if err != nil {
		return err
	}
	m.reader = archive.Reader{Kind: archive.Rooms, Host: h, Archive: h.Store.Archive("messages"), IDs: ids, PageMax: func() int { return m.cfg.Load().PageMax }}
	h.Serve(domain.Domain(), m.serve, cfg.Name)
	h.Hooks.UserDeleted.On(modules.Keep, m.deleted)
	modules.Provide[modules.Portable](h, m)
	modules.Provide[Rooms](h, m)
	m.sweep.Start(sweepEvery, m.tidy)
	return nil
}

// End implements modules.Ender: those who are in rooms learn that these are not there any more (§16.6, code 332). Rooms that are to
// last as long as somebody is in them stay for those who come back.
func (m *module) End(ctx context.Context) {
	if m.ended.Swap(true) {
		return
	}
	for _, r := range m.loaded() {
		r.do(ctx, &task{run: func(context.Context, *modules.Packet) { r.shut() }})
	}
}

// Stop implements modules.Module.
func (m *module) Stop(ctx context.Context) error {
	m.End(ctx)
	m.sweep.Stop()
	return nil
}

// Reload takes changed options, but for the service's name: people are in rooms by that.
func (m *module) Reload(_ context.Context, c Config) error {
	if was := m.cfg.Load().Subdomain; c.Subdomain != was {
		return fmt.Errorf("subdomain was %q when the server started: to have it %q, start the server anew", was, c.Subdomain)
	}
	m.cfg.Store(&c)
	return nil
}

// mayCreate tells whether somebody may make a room (§10.1.1).
func (m *module) mayCreate(who stanza.JID) bool {
	switch m.cfg.Load().Create {
	case createAnyone:
		return true
	case createLocal:
		return who.Domain() == m.h.Name && who.Local() != "" || m.h.Admin(who)
	}
	return m.h.Admin(who)
}

// goodNick tells whether a nickname can be one: it is a resource, so it is prepared already, and must show (§5.1, RFC 8266 §2).
func (m *module) goodNick(nick string) bool {
	return nick == strings.TrimSpace(nick) && nick != "" && len(nick) <= int(m.cfg.Load().NickSize)
}

var (
	_ modules.Module           = (*module)(nil)
	_ modules.Ender            = (*module)(nil)
	_ modules.Reloader[Config] = (*module)(nil)
	_ modules.Portable         = (*module)(nil)
)
