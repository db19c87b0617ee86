//go:build darwin || netbsd || openbsd

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// open takes the lock that os/exec holds while it forks: these systems, or
// x/sys on them, cannot make an accepted descriptor close-on-exec at once.
func open(family, kind int) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		return -1, err
	}
	return fd, prepare(fd)
}

// acceptNow is accept(2). The new descriptor is made non-blocking and close-on-exec.
func acceptNow(fd int) (int, syscall.Errno) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	c, _, err := unix.Accept(fd)
	if err == nil {
		err = prepare(c)
	}
	return c, Errno(err)
}

func prepare(fd int) error {
	unix.CloseOnExec(fd)
	err := unix.SetNonblock(fd, true)
	if err != nil {
		unix.Close(fd)
	}
	return err
}
