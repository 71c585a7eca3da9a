package main

import (
	"fmt"
	"io"
)

// level is from which level on a server needs a feature of XEP-0479.
type level int

const (
	basic    level = iota // Server and Advanced Server
	advanced              // Advanced Server
)

// demand is a line of XEP-0479 §3 for servers: what it asks for, and what shows that it is there.
type demand struct {
	suite, feature, specs string
	level                 level
	proof                 []string // tests of test/ and folders or files of test/scenarios; none: it is not there
	note                  string
}

// compliance are the suites Core, IM, Mobile and A/V of XEP-0479 0.1.0 as far as they are about servers.
var compliance = []demand{
	{"Core", "core features", "RFC 6120", basic, []string{"TestScenarios/delivery", "TestAttackXML", "TestStreamErrors", "TestFederation"}, ""},
	{"Core", "TLS", "RFC 7590", basic, []string{"TestAttackTLS", "TestFederationCertificates"}, ""},
	{"Core", "direct TLS", "XEP-0368", advanced, []string{"TestAttackTLS", "TestAttackPeers"}, ""},
	{"Core", "feature discovery", "XEP-0030", basic, []string{"TestScenarios/services", "TestServices"}, ""},
	{"Core", "feature broadcasts", "XEP-0115", advanced, []string{"TestServices", "TestAttackAuthorisation"}, ""},
	{"Core", "server extensibility", "XEP-0114", basic, nil, "components cannot connect yet"},
	{"Core", "event publishing", "XEP-0163", advanced, []string{"TestScenarios/pep", "TestFederatedPublish"}, ""},
	{"IM", "core features", "RFC 6121", basic, []string{"TestScenarios/roster", "TestScenarios/subscription", "TestScenarios/presence", "TestSubscriptionTransitions"}, ""},
	{"IM", "user avatar compatibility", "XEP-0398, XEP-0153", advanced, []string{"TestScenarios/vcard"}, ""},
	{"IM", "vcard-temp", "XEP-0054", basic, []string{"TestScenarios/vcard"}, ""},
	{"IM", "outbound message synchronization", "XEP-0280", basic, []string{"TestScenarios/carbons"}, ""},
	{"IM", "user blocking", "XEP-0191", advanced, []string{"TestScenarios/blocking", "TestAttackBlocking"}, ""},
	{"IM", "group chat", "XEP-0045, XEP-0249", basic, []string{"TestScenarios/muc", "TestAttackRooms"}, ""},
	{"IM", "advanced group chat", "XEP-0048, XEP-0313, XEP-0402, XEP-0410", advanced, []string{"TestScenarios/muc", "TestScenarios/private"}, ""},
	{"IM", "private data via PubSub", "XEP-0223", advanced, []string{"TestScenarios/pep", "TestScenarios/private"}, ""},
	{"IM", "private XML storage", "XEP-0049", advanced, []string{"TestScenarios/private"}, ""},
	{"IM", "stream management", "XEP-0198", advanced, []string{"TestScenarios/sm", "TestResumption"}, ""},
	{"IM", "history storage and retrieval", "XEP-0313", advanced, []string{"TestScenarios/mam", "TestCrashArchive", "TestFederatedArchive"}, ""},
	{"IM", "file upload", "XEP-0363", basic, nil, "no HTTP service yet"},
	{"Mobile", "stream management", "XEP-0198", basic, []string{"TestScenarios/sm", "TestResumption"}, ""},
	{"Mobile", "client state indication", "XEP-0352", basic, []string{"TestScenarios/csi"}, ""},
	{"Mobile", "third party push notifications", "XEP-0357", advanced, []string{"TestScenarios/push"}, ""},
	{"A/V calling", "STUN/TURN server discovery", "XEP-0215", basic, []string{"TestScenarios/extdisco"}, ""},
}

// renderCompliance writes the table of XEP-0479 and what is missing for each suite.
func renderCompliance(w io.Writer) {
	fmt.Fprint(w, "\n## Compliance suites\n\nWhat [XEP-0479](https://xmpp.org/extensions/xep-0479.html) 0.1.0 asks of servers, and the test in `test/` that proves it. "+
		"A scenario is a file of the folder, held with the real server: `go test ./test -run TestScenarios/FOLDER`. The suite Web asks for "+
		"websockets (RFC 7395) and BOSH, which are not there yet.\n\n"+
		"| suite | feature | specification | needed from | proof |\n|---|---|---|---|---|\n")
	for _, d := range compliance {
		from := "basic"
		if d.level == advanced {
			from = "advanced"
		}
		proof := ""
		for i, p := range d.proof {
			if i > 0 {
				proof += ", "
			}
			proof += "`" + p + "`"
		}
		switch {
		case proof == "":
			proof = "**missing**: " + d.note
		case d.note != "":
			proof += "; **in part**: " + d.note
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", d.suite, d.feature, d.specs, from, proof)
	}
}
