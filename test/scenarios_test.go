package test

import (
	"testing"

	"github.com/xmppd/xmppd/test/xtest"
)

// TestScenarios runs the conversations in scenarios/ against one running server, each with accounts of its own.
func TestScenarios(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: `profile = "off"`, Extra: weakKeys + callServices + "[modules.mod_push]\nmin_interval = \"0s\"\n"})
	for _, dir := range []string{"delivery", "subscription", "presence", "roster", "sm", "csi", "services", "pep", "vcard", "private", "mam", "carbons", "blocking", "commands", "push", "invites", "extdisco", "muc"} {
		t.Run(dir, func(t *testing.T) { xtest.RunScenarios(t, s, "scenarios/"+dir+"/*.txt") })
	}
}

// TestScenariosOffline keeps three messages for each account.
func TestScenariosOffline(t *testing.T) {
	s := xtest.New(t, xtest.Options{Limits: "profile = \"off\"\noffline_messages = 3\n", Extra: weakKeys})
	xtest.RunScenarios(t, s, "scenarios/offline/*.txt")
}

// TestScenariosHosts runs conversations between two virtual hosts of one server.
func TestScenariosHosts(t *testing.T) {
	s := xtest.New(t, xtest.Options{Hosts: []string{"a.test", "b.test"}, Limits: `profile = "off"`, Extra: weakKeys})
	xtest.RunScenarios(t, s, "scenarios/hosts/*.txt")
}

// TestScenariosRestart gives each conversation a server of its own, since it kills it.
func TestScenariosRestart(t *testing.T) {
	xtest.RunScenarios(t, nil, "scenarios/restart/*.txt")
}

// callServices are what mod_extdisco tells of.
const callServices = `[modules.mod_extdisco]
turn_secret = "shared with the relay"
services = [
{type = "stun", host = "turn.example.com", port = 3478, transport = "udp"},
{type = "turn", host = "turn.example.com", port = 3478, transport = "udp"},
]
`

// weakKeys make hundreds of logins cheap.
const weakKeys = "[auth]\nscram_hashes = [\"SHA-1\"]\n"
