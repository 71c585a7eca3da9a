package muc

import (
	"strconv"
	"time"

	"github.com/xmppd/xmppd/stanza"
)

// history is what was said last in a room (§7.2.13).
type history struct {
	list []spoken // oldest first
	size int      // of their stanzas, in bytes
	read bool     // what was said before the room came into memory is in list
}

// maxHistory is how many bytes of messages a room keeps in memory; the last one always fits.
const maxHistory = 256 << 10

// spoken is a message as the occupants got it.
type spoken struct {
	st *stanza.Stanza // retained
	at time.Time
}

// keep adds a message, and forgets what is more than max messages or too much.
func (h *history) keep(st *stanza.Stanza, at time.Time, max int) {
	h.list = append(h.list, spoken{st, at})
	h.size += len(st.Raw)
	gone := 0
	for len(h.list)-gone > max || len(h.list)-gone > 1 && h.size > maxHistory {
		h.size -= len(h.list[gone].st.Raw)
		h.list[gone] = spoken{}
		gone++
	}
	h.list = h.list[gone:]
}

// wanted is what a client asks for of the history (§7.2.13.4).
type wanted struct {
	chars, stanzas int // -1: no bound
	since          time.Time
}

func parseWanted(st *stanza.Stanza, now time.Time) wanted {
	w := wanted{chars: -1, stanzas: -1}
	i := st.Find(nsMUC, "x")
	if i < 0 {
		return w
	}
	e := st.Element(i).Child(nsMUC, "history")
	if e == nil {
		return w
	}
	// What is no number asks for nothing.
	if n, err := strconv.Atoi(e.Attr("maxchars")); err == nil && n >= 0 {
		w.chars = n
	}
	if n, err := strconv.Atoi(e.Attr("maxstanzas")); err == nil && n >= 0 {
		w.stanzas = n
	}
	if n, err := strconv.Atoi(e.Attr("seconds")); err == nil && n >= 0 {
		w.since = now.Add(-time.Duration(min(n, 1<<31)) * time.Second)
	}
	if t, err := time.Parse(time.RFC3339Nano, e.Attr("since")); err == nil && t.After(w.since) {
		w.since = t
	}
	return w
}

// sendHistory shows who enters what was said last, as he wants it.
func (r *room) sendHistory(s *session, enters *stanza.Stanza) {
	max := min(r.rec.Settings.History, r.m.cfg.Load().HistoryMax)
	if max == 0 {
		return
	}
	r.recall(r.ctx)
	w := parseWanted(enters, time.Now())
	list := r.history.list
	if len(list) > max {
		list = list[len(list)-max:]
	}
	if w.stanzas >= 0 && len(list) > w.stanzas {
		list = list[len(list)-w.stanzas:]
	}
	for len(list) > 0 && list[0].at.Before(w.since) {
		list = list[1:]
	}
	if w.chars >= 0 { // §7.2.13.4: of whole stanzas
		n, from := 0, len(list)
		for from > 0 {
			if n += len(list[from-1].st.Raw); n > w.chars {
				break
			}
			from--
		}
		list = list[from:]
	}
	for _, h := range list {
		st := h.st.Clone()
		st.Add(stanza.AppendDelay(nil, r.jid, h.at, ""))
		r.send(st, s.full)
	}
}
