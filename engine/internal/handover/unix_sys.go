//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package handover

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// locked calls f while no other goroutine starts a process, and makes what it returns
// close-on-exec. Not every system can do that in one step.
func locked(f func() ([2]int, error)) (fds [2]int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if fds, err = f(); err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	return fds, err
}

func socketpair() ([2]int, error) {
	return locked(func() ([2]int, error) { return unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0) })
}

// pipe makes a pipe whose ends do not block.
func pipe(p *[2]int) error {
	fds, err := locked(func() ([2]int, error) {
		var fds [2]int
		err := unix.Pipe(fds[:])
		return fds, err
	})
	if err != nil {
		return err
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			closeFDs(fds[:])
			return err
		}
	}
	*p = fds
	return nil
}

// newSocket makes a socket that does not block.
func newSocket() (int, error) {
	fds, err := locked(func() ([2]int, error) {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		return [2]int{fd, fd}, err
	})
	if err != nil {
		return -1, err
	}
	if err := prepare(fds[0]); err != nil {
		unix.Close(fds[0])
		return -1, err
	}
	return fds[0], nil
}
