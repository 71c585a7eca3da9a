//go:build !linux

package c2s

import (
	"net"
	"time"
)

// limitUnacked does nothing where TCP_USER_TIMEOUT does not exist: the ping of idle.go finds the peer gone.
func limitUnacked(*net.TCPConn, time.Duration) {}
