// Package sendqueue asks the kernel how much of what was sent is still with it.
package sendqueue

import "net"

// Len returns how many bytes the peer of nc has not acknowledged. ok is false if the connection or
// the system does not tell. Any goroutine may call it.
func Len(nc net.Conn) (n int, ok bool) {
	if secure, is := nc.(interface{ NetConn() net.Conn }); is { // *tls.Conn
		nc = secure.NetConn()
	}
	return length(nc)
}
