package c2s

import (
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

const (
	nsUpgrade      = "urn:xmpp:sasl:upgrade:0"
	nsSCRAMUpgrade = "urn:xmpp:scram-upgrade:0"
	upgradePrefix  = "UPGR-SCRAM-"
)

// task is what a client does between its credentials and its success: give the server the keys for a hash of SCRAM that the
// account has none for (XEP-0480).
type task struct {
	up    *auth.Upgrade
	begun bool // the client has asked for the salt
}

func (t *task) name() string { return upgradePrefix + t.up.Hash }

// upgrader returns the accounts of the host if they can learn further hashes.
func (c *client) upgrader() auth.Upgrader {
	u, _ := c.srv.o.Users(c.n.conn.Host).(auth.Upgrader)
	return u
}

// appendUpgrades announces the tasks (XEP-0480 §3.1). They are the same for all accounts, so that nobody learns of one.
// SHA-1 is nothing to upgrade to.
func (c *client) appendUpgrades(dst []byte) []byte {
	u := c.upgrader()
	if u == nil {
		return dst
	}
	for _, h := range u.Wanted() {
		if h != "SHA-1" {
			dst = append(append(append(dst, "<upgrade xmlns='"+nsUpgrade+"'>"+upgradePrefix...), h...), "</upgrade>"...)
		}
	}
	return dst
}

// tasks returns those that the client has asked for and that there is a use for. Only who has just shown the password may
// say what follows from it: a token, a certificate or another's word is not enough.
func (c *client) tasks(a *attempt) []task {
	u := c.upgrader()
	if u == nil || !strings.HasPrefix(a.name, "SCRAM-") && a.name != "PLAIN" {
		return nil
	}
	var list []task
	for _, e := range a.two.Request.Children {
		hash, ok := strings.CutPrefix(e.Text, upgradePrefix)
		if e.NS != nsUpgrade || e.Name != "upgrade" || !ok || hash == "SHA-1" ||
			slices.ContainsFunc(list, func(t task) bool { return t.up.Hash == hash }) {
			continue
		}
		up, err := u.Upgrade(&c.batch, a.two.Identity.JID.Local(), hash)
		if err != nil {
			c.log().Warn("no upgrade", "account", a.two.Identity.JID.String(), "hash", hash, "err", err)
		}
		if up != nil {
			list = append(list, task{up: up})
		}
	}
	return list
}

// sasl2Continue asks for the next task (XEP-0388 §2.6.3); XEP-0480 §3.2 wants one at a time.
func (c *client) sasl2Continue(a *attempt) error {
	c.n.tasked = true
	var x stanza.XML
	x.Start("continue", "xmlns", nsSASL2).Raw(appendData(nil, a.two.data))
	x.Start("tasks").Leaf("task", a.two.tasks[0].name())
	a.two.data = nil // said
	return c.say(string(x.Bytes()))
}

// taskStep takes <next/>, which begins a task, and <task-data/>, which ends it (XEP-0480 §4).
func (c *client) taskStep(a *attempt, st *stanza.Stanza) error {
	t, root := &a.two.tasks[0], st.Root()
	if (st.Name == "next") == t.begun {
		return errBusy
	}
	if st.Name == "next" {
		if root.Attr("task") != t.name() {
			return c.sasl2Fail(a, a.name, malformed("another task is to be done"))
		}
		t.begun = true
		var x stanza.XML
		x.Start("task-data", "xmlns", nsSASL2)
		x.Leaf("salt", base64.StdEncoding.EncodeToString(t.up.Salt), "xmlns", nsSCRAMUpgrade, "iterations", strconv.Itoa(t.up.Iterations))
		return c.say(string(x.Bytes()))
	}
	if f := c.learn(a, t.up, root.Child(nsSCRAMUpgrade, "hash")); f != nil {
		return c.sasl2Fail(a, a.name, f)
	}
	if a.two.tasks = a.two.tasks[1:]; len(a.two.tasks) > 0 {
		return c.sasl2Continue(a)
	}
	if err := c.admit(a.two.Identity); err != nil { // tasks take their time
		var f *auth.Failure
		if !errors.As(err, &f) {
			f = &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: err}
		}
		return c.sasl2Fail(a, a.name, f)
	}
	return c.sasl2Success(a)
}

// learn stores the keys that follow from what the client sent.
func (c *client) learn(a *attempt, up *auth.Upgrade, hash *stanza.Element) *auth.Failure {
	if hash == nil {
		return malformed("no hash")
	}
	salted, f := saslData2(hash)
	if f != nil {
		return f
	}
	u, id := c.upgrader(), a.two.Identity
	if u == nil {
		return &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: errors.New("c2s: host is gone")}
	}
	err := u.Upgraded(&c.batch, id.JID.Local(), up, salted, a.two.PasswordChanged)
	switch {
	case err == nil:
		c.log().Info("password has keys for another hash", "account", id.JID.String(), "hash", up.Hash)
		return nil
	case errors.Is(err, auth.ErrPolicy):
		return malformed("the hash has another length")
	case errors.Is(err, auth.ErrPassword), errors.Is(err, auth.ErrNoUser):
		return &auth.Failure{Condition: auth.NotAuthorized, Cause: err}
	}
	return &auth.Failure{Condition: auth.TemporaryAuthFailure, Cause: err}
}
