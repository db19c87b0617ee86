package socket

import "golang.org/x/sys/unix"

// unsent returns how many bytes are in the kernel's send buffer.
func unsent(fd int) int {
	n, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
	return n
}
