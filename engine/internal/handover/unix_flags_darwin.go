package handover

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	sendFlags = unix.MSG_DONTWAIT

	lossyShutdown = true // shutdown(SHUT_RD) empties the queue
)

// recvmsg receives. No process is started before the descriptors are close-on-exec.
func recvmsg(fd int, p, oob []byte) (n int, fds []int, flags int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	n, oobn, flags, _, err := unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT)
	fds, bad := rights(oob[:max(oobn, 0)])
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	if err == nil {
		err = bad
	}
	return n, fds, flags, err
}

// prepare makes a socket non-blocking, and its sends raise no signal.
func prepare(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NOSIGPIPE, 1); err != nil {
		return err
	}
	return unix.SetNonblock(fd, true)
}
