package sendqueue

import (
	"net"
	"syscall"
	"unsafe"
)

// length is SIOCOUTQ of tcp(7) and unix(7), which has the number of TIOCOUTQ.
func length(nc net.Conn) (n int, ok bool) {
	sc, is := nc.(syscall.Conn)
	if !is {
		return 0, false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, false
	}
	var queued int32
	err = raw.Control(func(fd uintptr) {
		_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCOUTQ,
			uintptr(unsafe.Pointer(&queued)))
		ok = errno == 0
	})
	return max(int(queued), 0), ok && err == nil
}
