package muc

import (
	"context"
	"strconv"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/stanza"
)

// The features that rooms have besides those that their settings make (§16.3).
var roomFeatures = []string{
	stanza.NSDiscoInf, stanza.NSDiscoIt, nsMUC,
	nsMUC + "#stable_id",              // ids of messages stay (§16.3)
	nsMUC + "#self-ping-optimization", // XEP-0410 §3.3
	nsRequest,
	nsOccID, // XEP-0421 §2
	nsPing,
}

// nodeNick is the node for a nickname that is reserved for who asks (§7.12). There is none.
const nodeNick = "x-roomuser-item"

// info tells what the room is (§6.4). Who knows its address may ask, be it hidden or for members: he learns as much by an attempt to enter.
// What goes on inside, which are the subject and how many are there, is told only to those who could see it.
func (r *room) info(_ context.Context, q *modules.IQ) ([]byte, error) {
	node, err := r.discoAsked(q)
	if err != nil {
		return nil, err
	}
	var x stanza.XML
	x.Start("query", "xmlns", stanza.NSDiscoInf, "node", node)
	switch node {
	case nodeNick: // §7.12: an empty answer says that there is none
		return x.Bytes(), nil
	case "":
	default:
		return nil, errNoNode
	}
	s := &r.rec.Settings
	name := s.Name
	if name == "" {
		name = r.jid.Local()
	}
	x.Empty("identity", "category", "conference", "type", "text", "name", name)
	for _, list := range [][]string{roomFeatures, s.features()} { // what all rooms have goes into the first one
		for _, f := range list {
			x.Empty("feature", "var", f)
		}
	}
	x.Raw(r.infoForm(r.insider(q.From)).Bytes())
	return x.Bytes(), nil
}

// discoAsked checks a request of service discovery, and returns the node that it is about. A room that is locked is there for its maker
// only (§10.1.3).
func (r *room) discoAsked(q *modules.IQ) (node string, err error) {
	if r.locked && r.affiliation(q.From) != Owner {
		return "", errNoRoom
	}
	if err := q.WantGet("query"); err != nil {
		return "", err
	}
	return q.Payload.Attr("node"), nil
}

// features are the ones of the settings (§16.3).
func (s *Settings) features() []string {
	either := func(is bool, yes, no string) string {
		if is {
			return yes
		}
		return no
	}
	out := []string{
		either(s.Public, "muc_public", "muc_hidden"),
		either(s.MembersOnly, "muc_membersonly", "muc_open"),
		either(s.Moderated, "muc_moderated", "muc_unmoderated"),
		either(s.Whois == whoisAnyone, "muc_nonanonymous", "muc_semianonymous"),
		either(s.Password != "", "muc_passwordprotected", "muc_unsecured"),
		either(s.Persistent, "muc_persistent", "muc_temporary"),
	}
	if s.Archive {
		out = append(append(out, archive.Rooms.Features()...), moderationFeatures...) // without an archive messages have no IDs
	}
	return out
}

// insider tells whether somebody may know what goes on inside: all may where all may enter, else those who are in, or who belong to the
// room.
func (r *room) insider(who stanza.JID) bool {
	aff := r.affiliation(who)
	if aff == Outcast {
		return false
	}
	if s := &r.rec.Settings; s.Public && !s.MembersOnly && s.Password == "" || aff >= Member {
		return true
	}
	return r.sessions[who] != nil
}

// infoForm is what is to be known besides (§6.4, §16.5.4).
func (r *room) infoForm(inside bool) *stanza.Form {
	s, c := &r.rec.Settings, r.m.cfg.Load()
	f := &stanza.Form{Kind: "result", Type: nsInfo}
	add := func(typ, name, v string) {
		if v != "" {
			f.Fields = append(f.Fields, stanza.FormField{Var: name, Type: typ, Values: []string{v}})
		}
	}
	add("text-single", "muc#roomconfig_roomname", s.Name)
	add("text-single", "muc#roominfo_description", s.Description)
	add("text-single", "muc#roominfo_lang", s.Lang)
	add("boolean", "muc#roomconfig_changesubject", boolean(s.ChangeSubject))
	add("boolean", "muc#roominfo_subjectmod", boolean(s.ChangeSubject))
	add("boolean", "muc#roomconfig_allowinvites", boolean(s.AllowInvites))
	add("list-single", "muc#roomconfig_allowpm", s.AllowPM)
	add("text-single", "muc#maxhistoryfetch", strconv.Itoa(min(s.History, c.HistoryMax)))
	if inside {
		add("text-single", "muc#roominfo_subject", r.rec.Subject.Text)
		add("text-single", "muc#roominfo_occupants", strconv.Itoa(len(r.nicks)))
	}
	return f
}

// items lists nothing: who is in a room is for those who are in it, and they know (§6.5).
func (r *room) items(_ context.Context, q *modules.IQ) ([]byte, error) {
	node, err := r.discoAsked(q)
	if err != nil {
		return nil, err
	}
	if node != "" {
		return nil, errNoNode
	}
	var x stanza.XML
	x.Empty("query", "xmlns", stanza.NSDiscoIt)
	return x.Bytes(), nil
}
