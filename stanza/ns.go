package stanza

// Namespaces of RFC 6120 and RFC 6121 and of the extensions that more than one package speaks.
const (
	NSClient   = "jabber:client"                          // RFC 6120 §4.8.2
	NSServer   = "jabber:server"                          // RFC 6120 §4.8.2
	NSStream   = "http://etherx.jabber.org/streams"       // RFC 6120 §4.8.1
	NSStanzas  = "urn:ietf:params:xml:ns:xmpp-stanzas"    // RFC 6120 §8.3
	NSStreams  = "urn:ietf:params:xml:ns:xmpp-streams"    // RFC 6120 §4.9
	NSTLS      = "urn:ietf:params:xml:ns:xmpp-tls"        // RFC 6120 §5
	NSSASL     = "urn:ietf:params:xml:ns:xmpp-sasl"       // RFC 6120 §6
	NSBind     = "urn:ietf:params:xml:ns:xmpp-bind"       // RFC 6120 §7
	NSSession  = "urn:ietf:params:xml:ns:xmpp-session"    // RFC 3921 §3, a no-op today
	NSRoster   = "jabber:iq:roster"                       // RFC 6121 §2
	NSSM       = "urn:xmpp:sm:3"                          // XEP-0198
	NSCSI      = "urn:xmpp:csi:0"                         // XEP-0352
	NSDelay    = "urn:xmpp:delay"                         // XEP-0203
	NSSID      = "urn:xmpp:sid:0"                         // XEP-0359
	NSForward  = "urn:xmpp:forward:0"                     // XEP-0297
	NSHints    = "urn:xmpp:hints"                         // XEP-0334
	NSDiscoInf = "http://jabber.org/protocol/disco#info"  // XEP-0030
	NSDiscoIt  = "http://jabber.org/protocol/disco#items" // XEP-0030
	NSXML      = "http://www.w3.org/XML/1998/namespace"
)
