package stanza

import "time"

// AppendDelay appends a delayed-delivery stamp (XEP-0203 §4): when a stanza was first taken in, in UTC, by whom.
func AppendDelay(dst []byte, from JID, at time.Time, reason string) []byte { panic("stanza") }
