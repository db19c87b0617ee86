package websocket

import (
	"net"
	"syscall"
	"unsafe"
)

// unacknowledged returns how many bytes the peer has not acknowledged: SIOCOUTQ of tcp(7) and
// unix(7), which has the number of TIOCOUTQ.
func unacknowledged(nc net.Conn) int {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	var n int32
	raw.Control(func(fd uintptr) {
		syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ, uintptr(unsafe.Pointer(&n)))
	})
	return max(int(n), 0)
}
