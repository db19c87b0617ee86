//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package socket

import (
	"net/netip"

	"golang.org/x/sys/unix"
)

// Write is write(2) on a non-blocking socket.
func (*Operations) Write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Write(fd, b)
		if err != unix.EINTR {
			return max(n, 0), err
		}
	}
}

// Writev writes the buffers one by one: x/sys does not have writev for each of these systems. The
// kernel puts them together again.
func (o *Operations) Writev(fd int, bufs [][]byte) (int, error) {
	total := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		n, err := o.Write(fd, b)
		total += n
		if err != nil && total == 0 {
			return 0, err
		}
		if n < len(b) {
			break
		}
	}
	return total, nil
}

// Remote implements driver.Sockets.
func (*Operations) Remote(fd int) netip.AddrPort { return remote(fd) }

// Unacknowledged is SO_NWRITE of macOS and FIONWRITE of FreeBSD and NetBSD. The others do not tell.
func (*Operations) Unacknowledged(fd int) (left int, taken uint64) {
	left = max(unsent(fd), 0)
	return left, uint64(left)
}

// IncomingCPU does not know.
func (*Operations) IncomingCPU(fd int) int { return -1 }
