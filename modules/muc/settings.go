package muc

import "time"

// Settings are what owners configure of a room (§10.2, §16.5.3). They are kept as JSON.
type Settings struct {
	Name          string `json:"name,omitempty"`
	Description   string `json:"description,omitempty"`
	Lang          string `json:"lang,omitempty"`
	Persistent    bool   `json:"persistent,omitempty"`
	Public        bool   `json:"public,omitempty"`
	MembersOnly   bool   `json:"members_only,omitempty"`
	Moderated     bool   `json:"moderated,omitempty"`
	Password      string `json:"password,omitempty"`
	Whois         string `json:"whois"`
	MaxUsers      int    `json:"max_users"`
	ChangeSubject bool   `json:"change_subject,omitempty"` // participants may
	AllowPM       string `json:"allow_pm"`
	AllowInvites  bool   `json:"allow_invites,omitempty"` // members may, where the room is for members
	Archive       bool   `json:"archive,omitempty"`
	History       int    `json:"history"`
}

// The values of Settings.Whois.
const (
	whoisModerators = "moderators"
	whoisAnyone     = "anyone"
)

// The values of Settings.AllowPM: who may send private messages.
const (
	pmAnyone       = "anyone"
	pmParticipants = "participants"
	pmModerators   = "moderators"
	pmNone         = "none"
)

// settings returns what a new room has.
func (c *Config) settings() Settings {
	return Settings{
		Persistent: c.RoomPersistent, Public: c.RoomPublic, MembersOnly: c.RoomMembersOnly, Whois: c.RoomWhois,
		MaxUsers: c.MaxOccupants, AllowPM: pmAnyone, Archive: c.RoomArchive, History: min(c.RoomHistory, c.HistoryMax),
	}
}

// mayPM tells whether who has a role may send private messages (§7.5).
func (s *Settings) mayPM(r Role) bool {
	switch s.AllowPM {
	case pmAnyone:
		return true
	case pmParticipants:
		return r >= Participant
	case pmModerators:
		return r == Moderator
	}
	return false
}

// Subject is a room's subject (§8.1). An empty text is none.
type Subject struct {
	Text string    `json:"text,omitempty"`
	Nick string    `json:"nick,omitempty"` // who set it
	ID   string    `json:"id,omitempty"`   // the occupant's (XEP-0421)
	At   time.Time `json:"at"`
}
