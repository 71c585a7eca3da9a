// Package interop lets clients that are not ours use the server.
package interop

import (
	"crypto/tls"
	"fmt"
	"strings"
	"sync"

	goxmpp "github.com/xmppo/go-xmpp"
)

// startGoXMPP logs in with github.com/xmppo/go-xmpp.
func startGoXMPP(a account, say func(...string)) (bot, error) {
	c, err := goxmpp.Options{
		Host: a.addr, User: a.bare(), Password: a.password, Resource: a.resource,
		NoTLS: !a.direct, StartTLS: !a.direct, Mechanism: a.mech, NoPLAIN: a.mech != "PLAIN", SSDP: true,
		TLSConfig:   &tls.Config{RootCAs: a.roots, ServerName: a.host},
		UserAgentSW: "interop", UserAgentDev: "test", UserAgentID: "d4565fa7-4d72-4749-b3d3-740edbf87770",
		Session: false, Status: "chat",
	}.NewClient()
	if err != nil {
		return nil, err
	}
	// RFC 6121 §3.1.6: answers to requests go to resources that asked for the roster.
	if err := c.Roster(); err != nil {
		return nil, err
	}
	g := &goXMPP{c: c}
	say("ready", c.JID())
	go func() {
		for {
			st, err := c.Recv()
			if err != nil {
				say("end", err.Error())
				return
			}
			switch v := st.(type) {
			case goxmpp.Chat:
				room, _, _ := strings.Cut(v.Remote, "/")
				switch {
				case v.Type == "groupchat" && v.Text != "":
					say("said", v.Remote, v.Text)
				case v.Type == "groupchat" && v.Subject != "":
					say("subject", room, v.Subject)
				case v.Text != "":
					say("message", v.Remote, v.Text)
				}
			case goxmpp.Presence:
				switch v.Type {
				case "subscribe":
					c.ApproveSubscription(v.From)
				case "subscribed":
					say("subscribed", v.From)
				case "", "unavailable":
					say("presence", v.From, v.Type+v.Show)
					if _, in := g.rooms.Load(v.From); in && v.Type == "" {
						say("joined", v.From)
					} else if in {
						say("kicked", v.From)
					}
				}
			}
		}
	}()
	return g, nil
}

type goXMPP struct {
	c     *goxmpp.Client
	rooms sync.Map // the occupant addresses it has asked for
}

func (g *goXMPP) Do(cmd string, args ...string) error {
	var err error
	switch cmd {
	case "subscribe":
		g.c.RequestSubscription(args[0])
	case "chat":
		_, err = g.c.Send(goxmpp.Chat{Remote: args[0], Type: "chat", Text: args[1]})
	case "join":
		g.rooms.Store(args[0]+"/"+args[1], true)
		_, err = g.c.JoinMUC(args[0], args[1], goxmpp.NoHistory, 0, nil)
	case "say":
		_, err = g.c.Send(goxmpp.Chat{Remote: args[0], Type: "groupchat", Text: args[1]})
	case "show":
		_, err = g.c.SendPresence(goxmpp.Presence{Show: args[0]})
	case "quit":
		err = g.c.Close()
	default:
		err = fmt.Errorf("unknown command %s", strings.Join(append([]string{cmd}, args...), " "))
	}
	return err
}
