//go:build !linux

package websocket

import "net"

// unacknowledged returns 0: only what the kernel takes is known.
func unacknowledged(net.Conn) int { return 0 }
