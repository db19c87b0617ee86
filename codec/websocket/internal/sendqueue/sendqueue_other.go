//go:build !linux

package sendqueue

import "net"

// length does not know: package syscall has no way to ask.
func length(net.Conn) (n int, ok bool) { return 0, false }
