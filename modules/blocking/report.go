package blocking

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// Report is what a user told of an address that he blocked (XEP-0377).
type Report struct {
	At       time.Time `json:"at"`
	By       string    `json:"by"`     // who reports: a bare JID of the host
	JID      string    `json:"jid"`    // who is reported
	Reason   string    `json:"reason"` // spam, abuse
	Text     string    `json:"text,omitempty"`
	Messages []string  `json:"messages,omitempty"` // archive ids (XEP-0359) of the messages that are meant
	// Forward says what the user agrees to (XEP-0377 §3.1): report-origin, third-party. Nothing is forwarded by itself.
	Forward []string `json:"forward,omitempty"`
}

// Reports is a service for the CLI.
type Reports interface {
	// Reports returns the reports that are kept, oldest first.
	Reports(ctx context.Context) ([]Report, error)
}

const (
	kvReports    = "reports" // big endian nanoseconds since 1970 and a number: JSON of Report behind the format
	reportText   = 2048      // bytes that are kept of what a user writes
	reportStanza = 32        // archive ids of one report
	reportIDSize = 256       // bytes of each
	perReporter  = 20        // reports of one account that are kept: nobody pushes out the others'
)

var reasons = map[string]string{"urn:xmpp:reporting:spam": "spam", "urn:xmpp:reporting:abuse": "abuse"}

// readReports reads the reports of a block (XEP-0377 §4).
func readReports(by stanza.JID, jids []stanza.JID, items []*stanza.Element) (out []Report, err error) {
	for i, it := range items {
		e := it.Child(nsReport, "report")
		if e == nil {
			continue
		}
		if len(out) == perReporter { // no more would be kept, and each costs the writer of the store some time
			return nil, stanza.Err(stanza.PolicyViolation, "too many reports at once")
		}
		r := Report{By: by.String(), JID: jids[i].String(), Reason: reasons[e.Attr("reason")]}
		if r.Reason == "" {
			return nil, stanza.Err(stanza.BadRequest, "a report of an unknown reason") // XEP-0377 §3: MUST include one
		}
		for _, c := range e.Children {
			switch {
			case c.NS == nsReport && c.Name == "text" && r.Text == "":
				r.Text = stanza.Truncate(c.Text, reportText)
			case c.NS == nsReport && (c.Name == "report-origin" || c.Name == "third-party") && !slices.Contains(r.Forward, c.Name):
				r.Forward = append(r.Forward, c.Name)
			case c.NS == "urn:xmpp:sid:0" && c.Name == "stanza-id" && len(r.Messages) < reportStanza:
				r.Messages = append(r.Messages, stanza.Truncate(c.Attr("id"), reportIDSize))
			}
		}
		out = append(out, r)
	}
	return out, nil
}

// putReports stores reports, within the transaction of the block that they came with.
func (m *module) putReports(kv storage.TxKV, list []Report) error {
	if len(list) == 0 {
		return nil
	}
	now := time.Now().UTC()
	for i := range list {
		list[i].At = now
		b, err := json.Marshal(list[i])
		if err != nil {
			return err
		}
		if err := kv.Put(reportKey(now, kv), append([]byte{format}, b...)); err != nil {
			return err
		}
	}
	return m.trimReports(kv, list[0].By, now)
}

// reportKey finds a free key for what is kept now.
func reportKey(now time.Time, kv storage.TxKV) []byte {
	for n := uint32(0); ; n++ {
		k := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano())), n)
		if old, err := kv.Get(k); err != nil || old == nil {
			return k
		}
	}
}

// trimReports deletes what is too old or too much.
func (m *module) trimReports(kv storage.TxKV, by string, now time.Time) error {
	oldest := now.Add(-time.Duration(m.cfg.KeepReports)).UnixNano()
	var own, others, drop [][]byte
	err := kv.Scan(nil, nil, func(k, v []byte) bool {
		r, err := readReport(v)
		switch k = slices.Clone(k); {
		case err != nil || len(k) < 8 || int64(binary.BigEndian.Uint64(k)) < oldest:
			drop = append(drop, k)
		case r.By == by:
			own = append(own, k)
		default:
			others = append(others, k)
		}
		return true
	})
	if err != nil {
		return err
	}
	if n := len(own) - perReporter; n > 0 {
		own, drop = own[n:], append(drop, own[:n]...)
	}
	kept := append(others, own...)
	slices.SortFunc(kept, bytes.Compare)
	if n := len(kept) - m.cfg.MaxReports; n > 0 {
		drop = append(drop, kept[:n]...)
	}
	for _, k := range drop {
		if err := kv.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// audit says in the log who reported whom; what the user wrote stays out of it.
func (m *module) audit(list []Report, s modules.Session) {
	for _, r := range list {
		m.h.Log.Info("abuse reported", append([]any{"account", r.By, "jid", r.JID, "reason", r.Reason, "messages", len(r.Messages)}, modules.Audit(s)...)...)
	}
}

func readReport(v []byte) (r Report, err error) {
	if len(v) == 0 || v[0] != format {
		return r, fmt.Errorf("report of an unknown format")
	}
	return r, json.Unmarshal(v[1:], &r)
}

// Reports implements the service.
func (m *module) Reports(ctx context.Context) (out []Report, err error) {
	oldest := time.Now().Add(-time.Duration(m.cfg.KeepReports))
	err = m.h.Store.KV(kvReports).Scan(ctx, nil, nil, func(_, v []byte) bool {
		if r, err := readReport(v); err == nil && r.At.After(oldest) {
			out = append(out, r)
		}
		return true
	})
	return out, err
}

// sweepEvery is how often reports whose time is over are looked for. They are not shown without that.
const sweepEvery = time.Hour

// sweepReports removes the reports whose time is over.
func (m *module) sweepReports(ctx context.Context) {
	oldest := time.Now().Add(-time.Duration(m.cfg.KeepReports))
	if err := m.dropReports(ctx, func(r Report) bool { return !r.At.After(oldest) }); err != nil && ctx.Err() == nil {
		m.h.Log.Error("old reports not removed", "err", err)
	}
}

// forgetReports removes the reports that an account made; what others told of it stays for its time.
func (m *module) forgetReports(ctx context.Context, by stanza.JID) error {
	return m.dropReports(ctx, func(r Report) bool { return r.By == by.Bare().String() })
}

// dropReports removes the reports that fit.
func (m *module) dropReports(ctx context.Context, fits func(Report) bool) error {
	var keys [][]byte
	kv := m.h.Store.KV(kvReports)
	err := kv.Scan(ctx, nil, nil, func(k, v []byte) bool {
		if r, err := readReport(v); err == nil && fits(r) {
			keys = append(keys, slices.Clone(k))
		}
		return true
	})
	for _, k := range keys {
		if err == nil {
			err = kv.Delete(ctx, k)
		}
	}
	return err
}
