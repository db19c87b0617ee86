package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

func open(family, kind int) (int, error) {
	return unix.Socket(family, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
}

// acceptNow is accept4(2). The Go scheduler sees it: should it block after all, which
// listener.accept rules out as far as that can be done, it holds up only its own loop.
// Operations.Remote returns the peer's address to those that need it.
func acceptNow(fd int) (int, syscall.Errno) {
	c, _, errno := syscall.Syscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(c), errno
}

// getFlags is fcntl(2) with F_GETFL. It cannot block.
func getFlags(fd int) (int, syscall.Errno) {
	flags, _, errno := syscall.RawSyscall(unix.SYS_FCNTL, uintptr(fd), unix.F_GETFL, 0)
	return int(flags), errno
}

// lingers reports whether close(2) may wait for the peer: SO_LINGER of socket(7).
func lingers(fd int) bool {
	var l unix.Linger
	size := uint32(unix.SizeofLinger)
	_, _, errno := syscall.RawSyscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_LINGER,
		uintptr(unsafe.Pointer(&l)), uintptr(unsafe.Pointer(&size)), 0)
	return errno == 0 && l.Onoff != 0 && l.Linger > 0
}
