package interop

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"io"
	"net"

	"mellium.im/sasl"
	"mellium.im/xmlstream"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/muc"
	"mellium.im/xmpp/roster"
	"mellium.im/xmpp/stanza"
)

type melliumBot struct {
	s     *xmpp.Session
	conn  net.Conn
	rooms muc.Client
	say   func(...string)
}

// startMellium logs in with mellium.im/xmpp.
func startMellium(a account, say func(...string)) (bot, error) {
	j := jid.MustParse(a.jid)
	conn, err := net.Dial("tcp", a.addr)
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{RootCAs: a.roots, ServerName: a.host, MinVersion: tls.VersionTLS12}
	features := []xmpp.StreamFeature{
		xmpp.SASL("", a.password, sasl.ScramSha256Plus, sasl.ScramSha256),
		xmpp.BindResource(),
	}
	var rw io.ReadWriter = conn
	state := xmpp.SessionState(0)
	if a.direct {
		cfg.NextProtos = []string{"xmpp-client"}
		tc := tls.Client(conn, cfg)
		if err := tc.Handshake(); err != nil {
			return nil, err
		}
		rw, state = tc, xmpp.Secure
	} else {
		features = append([]xmpp.StreamFeature{xmpp.StartTLS(cfg)}, features...)
	}
	s, err := xmpp.NewSession(context.Background(), j.Domain(), j.Bare(), rw, state, xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
		return xmpp.StreamConfig{Features: features}
	}))
	if err != nil {
		return nil, err
	}
	m := &melliumBot{s: s, conn: conn, say: say}
	go func() {
		err := s.Serve(xmpp.HandlerFunc(func(t xmlstream.TokenReadEncoder, start *xml.StartElement) error {
			return m.handle(t, start, say)
		}))
		say("end", errText(err))
	}()
	if err := roster.Fetch(context.Background(), s).Close(); err != nil {
		return nil, err
	}
	if err := s.Send(context.Background(), stanza.Presence{}.Wrap(nil)); err != nil {
		return nil, err
	}
	say("ready", s.LocalAddr().String())
	return m, nil
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (m *melliumBot) handle(t xmlstream.TokenReadEncoder, start *xml.StartElement, say func(...string)) error {
	tokens, err := xmlstream.ReadAll(xmlstream.MultiReader(xmlstream.Token(*start), t))
	if err != nil {
		return err
	}
	again := func() xml.TokenReader {
		rest := tokens
		return xmlstream.ReaderFunc(func() (xml.Token, error) {
			if len(rest) == 0 {
				return nil, io.EOF
			}
			next := rest[0]
			rest = rest[1:]
			return next, nil
		})
	}
	d := xml.NewTokenDecoder(again())
	switch start.Name.Local {
	case "message":
		var msg struct {
			stanza.Message
			Body    string `xml:"body"`
			Subject string `xml:"subject"`
		}
		if err := d.Decode(&msg); err != nil && err != io.EOF {
			return err
		}
		switch {
		case msg.Type == stanza.GroupChatMessage && msg.Body != "":
			say("said", msg.From.String(), msg.Body)
		case msg.Type == stanza.GroupChatMessage && msg.Subject != "":
			say("subject", msg.From.Bare().String(), msg.Subject)
		case msg.Body != "":
			say("message", msg.From.String(), msg.Body)
		}
	case "presence":
		var p struct {
			stanza.Presence
			Show string `xml:"show"`
			X    struct {
				Status []struct {
					Code int `xml:"code,attr"`
				} `xml:"status"`
			} `xml:"http://jabber.org/protocol/muc#user x"`
		}
		if err := d.Decode(&p); err != nil && err != io.EOF {
			return err
		}
		switch p.Type {
		case stanza.SubscribePresence:
			return m.send(stanza.Presence{To: p.From, Type: stanza.SubscribedPresence}.Wrap(nil))
		case stanza.SubscribedPresence:
			say("subscribed", p.From.String())
		case stanza.AvailablePresence, stanza.UnavailablePresence:
			say("presence", p.From.String(), string(p.Type)+p.Show)
		}
		for _, status := range p.X.Status {
			if status.Code == 307 {
				say("kicked", p.From.String())
				return nil // muc.Client would wait for somebody who wants to leave
			}
		}
		return m.rooms.HandlePresence(p.Presence, struct {
			xml.TokenReader
			xmlstream.Encoder
		}{again(), t})
	}
	return nil
}

func (m *melliumBot) send(r xml.TokenReader) error {
	go m.s.Send(context.Background(), r) // not from inside the handler: it holds the session's input
	return nil
}

func (m *melliumBot) Do(cmd string, args ...string) error {
	text := func(name, s string) xml.TokenReader {
		return xmlstream.Wrap(xmlstream.Token(xml.CharData(s)), xml.StartElement{Name: xml.Name{Local: name}})
	}
	switch cmd {
	case "subscribe":
		return m.s.Send(context.Background(), stanza.Presence{To: jid.MustParse(args[0]), Type: stanza.SubscribePresence}.Wrap(nil))
	case "chat":
		return m.s.Send(context.Background(), stanza.Message{To: jid.MustParse(args[0]), Type: stanza.ChatMessage}.Wrap(text("body", args[1])))
	case "join":
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		occupant, err := jid.MustParse(args[0]).WithResource(args[1])
		if err != nil {
			return err
		}
		room, err := m.rooms.Join(ctx, occupant, m.s)
		if err != nil {
			return err
		}
		m.say("joined", room.Me().String())
		return nil
	case "say":
		return m.s.Send(context.Background(), stanza.Message{To: jid.MustParse(args[0]), Type: stanza.GroupChatMessage}.Wrap(text("body", args[1])))
	case "show":
		return m.s.Send(context.Background(), stanza.Presence{}.Wrap(text("show", args[0])))
	}
	err := m.s.Close()
	m.conn.Close()
	return err
}
