package pep

import (
	"slices"
	"strconv"
)

// Access says who may subscribe to a node and read it (XEP-0060 §4.5).
type Access string

// The access models.
const (
	Open      Access = "open"      // everybody
	Presence  Access = "presence"  // who may see the owner's presence
	Roster    Access = "roster"    // contacts in some of the owner's groups
	Whitelist Access = "whitelist" // whom the owner named; without anybody named, the owner alone
)

// When the last item is sent without being asked for.
const (
	never          = "never"
	onSub          = "on_sub"
	onSubOrPresent = "on_sub_and_presence"
)

// The values of pubsub#notification_type and pubsub#itemreply.
const (
	headline  = "headline"
	normal    = "normal"
	none      = "none"
	publisher = "publisher"
)

// Settings are a node's configuration: all of XEP-0060 §16.4.4 that is honoured. It is kept as JSON.
type Settings struct {
	Title       string   `json:"title,omitempty"`
	Description string   `json:"description,omitempty"`
	Type        string   `json:"type,omitempty"`
	Access      Access   `json:"access"`
	Groups      []string `json:"groups,omitempty"`
	Persist     bool     `json:"persist"`
	Max         int      `json:"max"` // items; 0: as many as the server allows
	PayloadSize int      `json:"payload_size,omitempty"`
	SendLast    string   `json:"send_last"`
	Notify      bool     `json:"notify"`
	Payloads    bool     `json:"payloads"` // are sent with events
	OnRetract   bool     `json:"on_retract"`
	OnDelete    bool     `json:"on_delete"`
	OnConfig    bool     `json:"on_config"`
	Style       string   `json:"style"`
	Reply       string   `json:"reply"`
}

// defaults returns the configuration of a node of that name that nobody has configured (XEP-0163 §5). Nodes that are known to
// be for the user's own devices are closed to others, also for clients that forget to say so.
func defaults(node string) Settings {
	s := Settings{Access: Presence, Persist: true, Max: 1, SendLast: onSubOrPresent, Notify: true, Payloads: true, OnRetract: true, Style: headline, Reply: none}
	switch node {
	case nodeBookmarks, nodeDisplayed: // XEP-0402 §3.3, XEP-0490 §4.1
		s.Access, s.Max, s.SendLast = Whitelist, 0, never
	case nodeBookmarks0: // XEP-0048, XEP-0223
		s.Access, s.SendLast = Whitelist, never
	}
	return s
}

// field is one field of the configuration's form.
type field struct {
	name, kind, label string
	options           []string
	get               func(s *Settings) []string
	set               func(s *Settings, values []string, limit int) bool // false: not a value of it
}

func text(name, label string, p func(*Settings) *string) field {
	return field{name, "text-single", label, nil,
		func(s *Settings) []string { return []string{*p(s)} },
		func(s *Settings, v []string, _ int) bool {
			if len(v) == 0 {
				v = []string{""}
			}
			*p(s) = v[0]
			return len(v) == 1 && len(v[0]) <= maxText
		}}
}

func boolean(name, label string, p func(*Settings) *bool) field {
	return field{name, "boolean", label, nil,
		func(s *Settings) []string { return []string{flag(*p(s))} },
		func(s *Settings, v []string, _ int) bool {
			if len(v) != 1 {
				return false
			}
			switch v[0] { // XEP-0004 §3.3
			case "1", "true":
				*p(s) = true
			case "0", "false":
				*p(s) = false
			default:
				return false
			}
			return true
		}}
}

func choice[T ~string](name, label string, options []T, p func(*Settings) *T) field {
	f := field{name: name, kind: "list-single", label: label,
		get: func(s *Settings) []string { return []string{string(*p(s))} },
		set: func(s *Settings, v []string, _ int) bool {
			if len(v) != 1 || !slices.Contains(options, T(v[0])) {
				return false
			}
			*p(s) = T(v[0])
			return true
		}}
	for _, o := range options {
		f.options = append(f.options, string(o))
	}
	return f
}

func flag(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

const (
	maxText   = 1024 // longest title, description, type and group, in bytes
	maxGroups = 32
)

// fields are the options that there are, with the labels of XEP-0060 §16.4.4.
var fields = []field{
	text("title", "A friendly name for the node", func(s *Settings) *string { return &s.Title }),
	text("description", "A description of the node", func(s *Settings) *string { return &s.Description }),
	text("type", "The semantic type of the data in the node", func(s *Settings) *string { return &s.Type }),
	choice("access_model", "Who may subscribe and retrieve items", []Access{Open, Presence, Roster, Whitelist}, func(s *Settings) *Access { return &s.Access }),
	{"roster_groups_allowed", "list-multi", "The roster groups allowed to subscribe and retrieve items", nil,
		func(s *Settings) []string { return s.Groups },
		func(s *Settings, v []string, _ int) bool {
			s.Groups = slices.Clone(v)
			return len(v) <= maxGroups && !slices.ContainsFunc(v, func(g string) bool { return len(g) > maxText })
		}},
	choice("publish_model", "Who may publish", []string{"publishers"}, func(*Settings) *string { s := "publishers"; return &s }),
	boolean("persist_items", "Whether to persist items to storage", func(s *Settings) *bool { return &s.Persist }),
	{"max_items", "text-single", "The maximum number of items to persist, or max", nil,
		func(s *Settings) []string {
			if s.Max == 0 {
				return []string{"max"}
			}
			return []string{strconv.Itoa(s.Max)}
		},
		func(s *Settings, v []string, limit int) bool {
			if len(v) == 1 && v[0] == "max" {
				s.Max = 0
				return true
			}
			n, ok := number(v)
			s.Max = n
			return ok && n <= limit
		}},
	{"max_payload_size", "text-single", "The maximum payload size in bytes", nil,
		func(s *Settings) []string {
			if s.PayloadSize == 0 {
				return nil
			}
			return []string{strconv.Itoa(s.PayloadSize)}
		},
		func(s *Settings, v []string, _ int) (ok bool) {
			if len(v) == 0 || len(v) == 1 && v[0] == "" {
				s.PayloadSize = 0
				return true
			}
			s.PayloadSize, ok = number(v)
			return ok
		}},
	choice("send_last_published_item", "When to send the last published item", []string{never, onSub, onSubOrPresent}, func(s *Settings) *string { return &s.SendLast }),
	boolean("deliver_notifications", "Whether to deliver event notifications", func(s *Settings) *bool { return &s.Notify }),
	boolean("deliver_payloads", "Whether to deliver payloads with event notifications", func(s *Settings) *bool { return &s.Payloads }),
	boolean("notify_retract", "Whether to notify subscribers when items are removed from the node", func(s *Settings) *bool { return &s.OnRetract }),
	boolean("notify_delete", "Whether to notify subscribers when the node is deleted", func(s *Settings) *bool { return &s.OnDelete }),
	boolean("notify_config", "Whether to notify subscribers when the node configuration changes", func(s *Settings) *bool { return &s.OnConfig }),
	choice("notification_type", "Specify the delivery style for notifications", []string{headline, normal}, func(s *Settings) *string { return &s.Style }),
	choice("itemreply", "Whether items name their publisher", []string{none, publisher}, func(s *Settings) *string { return &s.Reply }),
}

func number(v []string) (int, bool) {
	if len(v) != 1 {
		return 0, false
	}
	n, err := strconv.ParseUint(v[0], 10, 31)
	return int(n), err == nil && n > 0
}

// fieldOf returns the option of that name, without pubsub#.
func fieldOf(name string) *field {
	for i := range fields {
		if fields[i].name == name {
			return &fields[i]
		}
	}
	return nil
}
