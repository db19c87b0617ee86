//go:build !linux

package wsconn

import "net"

// outgoing does not know: package syscall has no way to ask.
func outgoing(net.Conn) (left int, ok bool) { return 0, false }
