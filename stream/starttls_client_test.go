package stream

import (
	"crypto/tls"
	"testing"

	"github.com/xmppd/xmppd/stanza"
)

// The other end of STARTTLS: what comes behind <proceed/> in the clear is never believed (RFC 6120 §5.4.3.3).
func TestStartTLSClient(t *testing.T) {
	const proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
	const header = "<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' id='1' version='1.0'>"
	start := func(t *testing.T, more string) (*Conn, *tls.Conn) {
		s, c := tcpPair(t)
		o := testOptions()
		o.Namespace = stanza.NSServer
		conn := NewConn(c, o)
		write(t, s, header+proceed+more)
		var h Header
		if err := conn.ReadHeader(&h); err != nil {
			t.Fatal(err)
		}
		if st, err := conn.Read(); err != nil || st.Name != "proceed" {
			t.Fatal(st, err)
		}
		return conn, tls.Server(s, serverConfig(t))
	}
	for _, more := range []string{"<stream:features/>", "<", header} {
		conn, _ := start(t, more)
		if err := conn.StartTLSClient(t.Context(), &tls.Config{InsecureSkipVerify: true}); err != ErrInjected {
			t.Errorf("%q behind <proceed/>: %v", more, err)
		}
		conn.Abort()
	}
	conn, srv := start(t, "\n")
	defer conn.Abort()
	done := make(chan error, 1)
	go func() {
		if err := srv.Handshake(); err != nil {
			done <- err
			return
		}
		_, err := srv.Write([]byte(header + "<stream:features/>"))
		done <- err
	}()
	if err := conn.StartTLSClient(t.Context(), &tls.Config{InsecureSkipVerify: true}); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	var h Header
	if err := conn.ReadHeader(&h); err != nil || h.ID != "1" {
		t.Fatal(h, err)
	}
	if st, err := conn.Read(); err != nil || st.Name != "features" {
		t.Fatal(st, err)
	}
	if cs := conn.TLS(); cs == nil || len(cs.PeerCertificates) != 1 {
		t.Errorf("%+v", cs)
	}
}
