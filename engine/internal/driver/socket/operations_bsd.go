//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package socket

import (
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// Write is send(2) that does not block.
func (*Operations) Write(fd int, b []byte) (int, error) {
	for {
		n, err := unix.SendmsgN(fd, b, nil, nil, unix.MSG_DONTWAIT)
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

// Errno returns the errno that err is, EIO if it is another error, and 0 if err is nil.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return syscall.EIO
}

// getFlags is fcntl(2) with F_GETFL.
func getFlags(fd int) (int, syscall.Errno) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	return flags, Errno(err)
}

// lingers reports whether close(2) may wait for the peer: SO_LINGER of setsockopt(2).
func lingers(fd int) bool {
	l, err := unix.GetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER)
	return err == nil && l.Onoff != 0 && l.Linger > 0
}
