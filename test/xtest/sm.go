package xtest

import (
	"testing"

	"mellium.im/sasl"
)

const nsSM = "urn:xmpp:sm:3"

// EnableSM switches stream management on, so that the session can be resumed, and returns <enabled/>. From now on the
// client counts what it has got, and <r/> is not among what Next returns. attrs are further attributes, after a space.
func (c *Client) EnableSM(attrs string) *Node {
	c.T.Helper()
	c.Send("<enable xmlns='%s' resume='true'%s/>", nsSM, attrs)
	n := c.Want("<enabled xmlns='%s' id='*' resume='true' max='*'/>", nsSM)
	c.SMID, c.Handled, c.managed = n.Attr("id"), 0, true
	return n
}

// Ack acknowledges all that the client has read.
func (c *Client) Ack() {
	c.T.Helper()
	c.Send("<a xmlns='%s' h='%d'/>", nsSM, c.Handled)
}

// Counted asks how many stanzas the server has handled (XEP-0198 §4), and returns the answer with what came before it.
func (c *Client) Counted() (h string, before []*Node) {
	c.T.Helper()
	c.Send("<r xmlns='%s'/>", nsSM)
	for {
		n := c.Must()
		if n.Name.Space == nsSM && n.Name.Local == "a" {
			return n.Attr("h"), before
		}
		before = append(before, n)
	}
}

// Cut ends the connection without ending the stream.
func (c *Client) Cut() { c.Conn.Close() }

// TryResume logs in on a new connection, as user, and asks for the session that had been c's. It returns the new client and
// the answer.
func (c *Client) TryResume(t testing.TB, user string) (*Client, *Node) {
	t.Helper()
	n := c.S.Secure(t, c.Host)
	n.Name, n.JID, n.SMID, n.Handled = c.Name, c.JID, c.SMID, c.Handled
	n.Auth(sasl.Plain, user, Password)
	n.Send("<resume xmlns='%s' previd='%s' h='%d'/>", nsSM, c.SMID, c.Handled)
	return n, n.Must()
}

// Resume is TryResume by who owns the session; it must succeed. What is sent again is still to be read.
func (c *Client) Resume(t testing.TB) *Client {
	t.Helper()
	n, answer := c.TryResume(t, userOf(c.JID))
	if answer.Name.Local != "resumed" || answer.Attr("previd") != c.SMID {
		t.Fatalf("%s: wanted to be resumed, got %s", c.Name, answer)
	}
	n.managed, n.pending = true, c.pending
	return n
}

// count notes what has arrived, and tells whether it is for the client at all.
func (c *Client) count(n *Node) (mine bool) {
	if !c.managed {
		return true
	}
	if n.Name.Space == "jabber:client" {
		c.Handled++
	}
	return n.Name.Space != nsSM || n.Name.Local != "r"
}
