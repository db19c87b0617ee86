//go:build linux || dragonfly

package socket

import (
	"os"

	"golang.org/x/sys/unix"
)

// reusePort lets sockets share an address. The kernel spreads the peers over them.
func reusePort(fd int) error {
	return os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1))
}
