//go:build linux || freebsd || dragonfly

package socket

import "golang.org/x/sys/unix"

func open(family, kind int) (int, error) {
	return unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// Accept is accept4(2): the new descriptor is non-blocking and close-on-exec.
func Accept(fd int) (int, error) {
	c, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	return c, err
}
