package socket

import "golang.org/x/sys/unix"

// unsent returns how many bytes are in the kernel's send buffer: FIONWRITE of sys/filio.h.
func unsent(fd int) int {
	n, _ := unix.IoctlGetInt(fd, 0x40046679)
	return n
}
