package socket

import "golang.org/x/sys/unix"

const keepIdle = unix.TCP_KEEPIDLE

func deferAccept(fd, seconds int) error {
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_DEFER_ACCEPT, seconds)
}
