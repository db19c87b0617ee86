//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package socket

// deferAccept does nothing: FreeBSD's accept filters have to be loaded first, the others have nothing like it.
func deferAccept(fd, seconds int) {}

// Unacknowledged does not know: each of these systems has a way of its own, or none.
func Unacknowledged(fd int) int { return 0 }

// IncomingCPU does not know.
func IncomingCPU(fd int) int { return -1 }

// bindNoPort does nothing: what Linux has for it is not there.
func bindNoPort(fd int) {}
