//go:build !linux

package stream

import (
	"errors"
	"net"
)

// Poller waits for many connections without a goroutine for each, on Linux.
type Poller struct{}

// NewPoller fails: it takes epoll(7), which only Linux has.
func NewPoller() (*Poller, error) {
	return nil, errors.New("stream: the epoll transport needs Linux")
}

// Adopt returns nc.
func (p *Poller) Adopt(nc net.Conn) net.Conn { return nc }

// Close does nothing.
func (p *Poller) Close() {}
