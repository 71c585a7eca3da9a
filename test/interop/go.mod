module github.com/xmppd/xmppd/test/interop

go 1.26.0

replace github.com/xmppd/xmppd => ../..

require (
	github.com/xmppd/xmppd v0.0.0-00010101000000-000000000000
	github.com/xmppo/go-xmpp v0.3.6
	mellium.im/sasl v0.3.2
	mellium.im/xmlstream v0.15.4
	mellium.im/xmpp v0.22.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/mod v0.41.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	mellium.im/reader v0.1.0 // indirect
)
