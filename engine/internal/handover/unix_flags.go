//go:build dragonfly || freebsd || linux || netbsd || openbsd

package handover

import (
	"runtime"

	"golang.org/x/sys/unix"
)

const (
	sendFlags = unix.MSG_DONTWAIT | unix.MSG_NOSIGNAL

	lossyShutdown = runtime.GOOS != "linux" // shutdown(SHUT_RD) empties the queue
)

// recvmsg receives. The descriptors are close-on-exec.
func recvmsg(fd int, p, oob []byte) (n int, fds []int, flags int, err error) {
	n, oobn, flags, _, err := unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	fds, bad := rights(oob[:max(oobn, 0)])
	if err == nil {
		err = bad
	}
	return n, fds, flags, err
}

// prepare makes a socket non-blocking.
func prepare(fd int) error { return unix.SetNonblock(fd, true) }
