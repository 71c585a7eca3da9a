// Package all lists the modules that come with xmppd. The order is the order of their hooks within a phase, of their
// stream features, and of what each can find of the others when it starts.
package all

import (
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/accounts"
	"github.com/xmppd/xmppd/modules/authtoken"
	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/bookmarks"
	"github.com/xmppd/xmppd/modules/caps"
	"github.com/xmppd/xmppd/modules/carbons"
	"github.com/xmppd/xmppd/modules/clientcerts"
	"github.com/xmppd/xmppd/modules/commands"
	"github.com/xmppd/xmppd/modules/contacts"
	"github.com/xmppd/xmppd/modules/devices"
	"github.com/xmppd/xmppd/modules/disco"
	"github.com/xmppd/xmppd/modules/entitytime"
	"github.com/xmppd/xmppd/modules/extdisco"
	"github.com/xmppd/xmppd/modules/fast"
	"github.com/xmppd/xmppd/modules/invites"
	"github.com/xmppd/xmppd/modules/keystore"
	"github.com/xmppd/xmppd/modules/last"
	"github.com/xmppd/xmppd/modules/limits"
	"github.com/xmppd/xmppd/modules/mam"
	"github.com/xmppd/xmppd/modules/muc"
	"github.com/xmppd/xmppd/modules/offline"
	"github.com/xmppd/xmppd/modules/pep"
	"github.com/xmppd/xmppd/modules/ping"
	"github.com/xmppd/xmppd/modules/private"
	"github.com/xmppd/xmppd/modules/push"
	"github.com/xmppd/xmppd/modules/register"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/modules/vcard"
	"github.com/xmppd/xmppd/modules/version"
)

//go:generate go run ./gen ../hooks.go ../../doc

// Modules are all modules, in order.
var Modules = []modules.Info{
	keystore.Info, // first: others take their keys from it when they start
	accounts.Info, // before all that know accounts: the sessions of a deleted one end while others still know whom to tell
	roster.Info,
	blocking.Info, // before all that change, keep and copy
	last.Info,
	mam.Info,     // before all that pass messages on: they have their IDs
	carbons.Info, // before offline: that knows what a session has got already
	offline.Info, // after roster: a client hears who is there before it gets what it missed
	push.Info,
	disco.Info,
	caps.Info,
	pep.Info, // after roster and caps, whom it asks
	vcard.Info,
	private.Info,
	muc.Info,
	bookmarks.Info,
	ping.Info,
	version.Info,
	entitytime.Info,
	contacts.Info,
	extdisco.Info,
	commands.Info,
	invites.Info,
	register.Info, // after invites, whose guests it lets in
	authtoken.Info,
	clientcerts.Info,
	fast.Info,
	limits.Info,
	devices.Info,
}
