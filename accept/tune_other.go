//go:build !linux

package accept

import (
	"net"
	"time"
)

// limitUnacked does nothing where TCP_USER_TIMEOUT does not exist: a ping of the engine finds the peer gone.
func limitUnacked(*net.TCPConn, time.Duration) {}
