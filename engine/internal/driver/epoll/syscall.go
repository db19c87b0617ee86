//go:build linux

package epoll

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

// pollNow is epoll_pwait(2) with timeout 0, which cannot block.
func pollNow(ep int, events []unix.EpollEvent) (int, unix.Errno) {
	n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
	return int(n), errno
}

// pollWait is epoll_pwait(2); the scheduler gives our processor away while it blocks.
func pollWait(ep int, events []unix.EpollEvent, ms int) (int, unix.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
		uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), uintptr(ms), 0, 0)
	return int(n), errno
}

// The calls that a message costs go by package syscall: package unix would jump there, which takes 3 ns more.

// readNow is recv(2) on a non-blocking socket: read(2) would take 15 ns more, for what it has to do for files. b is not empty.
func readNow(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), 0, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// writeNow is send(2) on a non-blocking socket. b is not empty.
func writeNow(fd int, b []byte) (int, unix.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), unix.MSG_NOSIGNAL, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// writevNow is writev(2) on a non-blocking socket. A broken pipe is EPIPE: the Go runtime ignores SIGPIPE on descriptors other
// than 1 and 2, which ours never are.
func writevNow(fd int, bufs [][]byte) (int, unix.Errno) {
	var vec [driver.MaxIovecs]unix.Iovec
	n := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		vec[n].Base = &b[0]
		vec[n].SetLen(len(b))
		if n++; n == len(vec) {
			break
		}
	}
	if n == 0 {
		return 0, 0
	}
	for {
		k, _, errno := unix.RawSyscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&vec[0])), uintptr(n))
		if errno == 0 {
			return int(k), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// acceptNow is accept4(2) on a non-blocking listener. The peer's address is asked for when somebody wants it.
func acceptNow(fd int) (int, unix.Errno) {
	c, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(fd), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	return int(c), errno
}

// remote is getpeername(2), for every connection where there are limits per address: package unix would allocate 144 bytes.
//
//	sockaddr_in  | family 2 | port 2 | address 4
//	sockaddr_in6 | family 2 | port 2 | flow 4 | address 16 | scope 4
func remote(fd int) netip.AddrPort {
	var name [unix.SizeofSockaddrAny]byte
	size := uint32(len(name))
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&name)), uintptr(unsafe.Pointer(&size)))
	port := binary.BigEndian.Uint16(name[2:])
	switch family := binary.NativeEndian.Uint16(name[:]); {
	case errno != 0 || family == unix.AF_UNIX:
		return netip.AddrPort{}
	case family == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:])), port)
	case family == unix.AF_INET6 && binary.NativeEndian.Uint32(name[24:]) == 0:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(name[8:])).Unmap(), port)
	}
	return socket.Remote(fd) // a zone has a name
}
