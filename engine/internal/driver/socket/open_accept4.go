//go:build freebsd || dragonfly

package socket

import (
	"syscall"

	"golang.org/x/sys/unix"
)

func open(family, kind int) (int, error) {
	return unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// acceptNow is accept4(2).
func acceptNow(fd int) (int, syscall.Errno) {
	c, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return c, Errno(err)
}
