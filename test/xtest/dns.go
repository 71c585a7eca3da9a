package xtest

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// DNS is a DNS server of a test, on a loopback port that the system picks, by UDP and TCP. It knows what it was told and
// says of everything else that there is no such name.
type DNS struct {
	Addr string // 127.0.0.1:port, for s2s.dns_server

	mu      sync.Mutex
	records map[string][]dnsmessage.Resource // by name, with a final dot
	faults  map[string]DNSFault
	asked   []string
}

// DNSFault is how a name is not answered.
type DNSFault int

const (
	Silent   DNSFault = iota + 1 // not at all
	ServFail                     // with an error of the server
	Refused                      // with a refusal
	Garbage                      // with bytes that are no message
)

// NewDNS starts a server; the test's end stops it.
func NewDNS(t testing.TB) *DNS {
	t.Helper()
	for range 10 { // until a port is free for both
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err != nil {
			udp.Close()
			continue
		}
		d := &DNS{Addr: tcp.Addr().String(), records: map[string][]dnsmessage.Resource{}, faults: map[string]DNSFault{}}
		var running sync.WaitGroup
		running.Go(func() { d.serveUDP(udp) })
		running.Go(func() { d.serveTCP(tcp) })
		t.Cleanup(func() {
			udp.Close()
			tcp.Close()
			running.Wait()
		})
		return d
	}
	t.Fatal("no port is free for UDP and TCP alike")
	return nil
}

// Address adds A and AAAA records.
func (d *DNS) Address(name string, addrs ...string) {
	for _, s := range addrs {
		if a := netip.MustParseAddr(s); a.Is4() {
			d.add(name, dnsmessage.TypeA, &dnsmessage.AResource{A: a.As4()})
		} else {
			d.add(name, dnsmessage.TypeAAAA, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
}

// SRV adds a record such as that of _xmpp-server._tcp.peer.test.
func (d *DNS) SRV(name string, priority, weight, port uint16, target string) {
	d.add(name, dnsmessage.TypeSRV, &dnsmessage.SRVResource{
		Priority: priority, Weight: weight, Port: port, Target: dnsmessage.MustNewName(absolute(target)),
	})
}

// CNAME makes a name another's alias. The other's records come with the answer, as those of a resolver do.
func (d *DNS) CNAME(name, target string) {
	d.add(name, dnsmessage.TypeCNAME, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(absolute(target))})
}

// Fail has a name not answered from now on.
func (d *DNS) Fail(name string, how DNSFault) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults[absolute(name)] = how
}

// Clear forgets all records and faults.
func (d *DNS) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.records)
	clear(d.faults)
	d.asked = nil
}

// Asked lists the questions there were, such as "SRV _xmpp-server._tcp.peer.test.".
func (d *DNS) Asked() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.asked)
}

func absolute(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) + "." }

func (d *DNS) add(name string, typ dnsmessage.Type, body dnsmessage.ResourceBody) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name = absolute(name)
	d.records[name] = append(d.records[name], dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET, TTL: 60},
		Body:   body,
	})
}

func (d *DNS) serveUDP(c net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if out := d.answer(buf[:n], 1232); out != nil {
			c.WriteTo(out, from)
		}
	}
}

func (d *DNS) serveTCP(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			c.SetDeadline(time.Now().Add(Wait))
			for {
				var size [2]byte
				if _, err := io.ReadFull(c, size[:]); err != nil {
					return
				}
				in := make([]byte, int(size[0])<<8|int(size[1]))
				if _, err := io.ReadFull(c, in); err != nil {
					return
				}
				if out := d.answer(in, 65535); out != nil {
					c.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...))
				}
			}
		}()
	}
}

// answer answers one message; what is longer than limit says that it is cut off, so that TCP is tried.
func (d *DNS) answer(in []byte, limit int) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(in)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := absolute(q.Name.String())
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = append(d.asked, strings.TrimPrefix(q.Type.String(), "Type")+" "+name)

	m := dnsmessage.Message{
		Header: dnsmessage.Header{
			ID: head.ID, Response: true, Authoritative: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true,
		},
		Questions: []dnsmessage.Question{q},
	}
	switch d.faults[name] {
	case Silent:
		return nil
	case Garbage:
		return append(in[:2:2], "this is no message"...)
	case ServFail:
		m.RCode = dnsmessage.RCodeServerFailure
	case Refused:
		m.RCode = dnsmessage.RCodeRefused
	default:
		m.Answers, m.RCode = d.find(name, q.Type)
	}
	out, err := m.Pack()
	if err == nil && len(out) > limit {
		m.Answers, m.Truncated = nil, true
		out, err = m.Pack()
	}
	if err != nil {
		return nil
	}
	return out
}

// find returns the records of a name and of those that it is an alias of. The caller holds mu.
func (d *DNS) find(name string, typ dnsmessage.Type) (out []dnsmessage.Resource, code dnsmessage.RCode) {
	for range 8 {
		all, known := d.records[name]
		if !known && len(out) == 0 {
			return nil, dnsmessage.RCodeNameError
		}
		next := ""
		for _, r := range all {
			if c, ok := r.Body.(*dnsmessage.CNAMEResource); ok {
				out, next = append(out, r), c.CNAME.String()
			} else if r.Header.Type == typ {
				out = append(out, r)
			}
		}
		if next == "" {
			break
		}
		name = next
	}
	return out, dnsmessage.RCodeSuccess
}
