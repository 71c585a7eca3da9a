package stanza

import "time"

// AppendDelay appends a delayed-delivery stamp (XEP-0203 §4): when a stanza was first taken in, in UTC, by whom. A zero
// from and an empty reason are left out.
func AppendDelay(dst []byte, from JID, at time.Time, reason string) []byte {
	dst = append(dst, "<delay xmlns='"+NSDelay+"'"...)
	if !from.IsZero() {
		dst = append(from.appendEscaped(append(dst, " from='"...)), '\'')
	}
	// XEP-0082 §3.2: UTC, three digits of a second are what archives of clients compare by.
	dst = at.UTC().AppendFormat(append(dst, " stamp='"...), "2006-01-02T15:04:05.000Z")
	if reason == "" {
		return append(dst, "'/>"...)
	}
	return append(appendText(append(dst, "'>"...), reason), "</delay>"...)
}
