package socket

import (
	"encoding/binary"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// These are raw system calls, which the Go scheduler does not see: none of them can block, and the
// scheduler's bookkeeping would cost more than the rest of our work on them. Write goes by way of
// package syscall: package unix would only jump there, which takes 3 ns.

// Write is send(2) that does not block. b is not empty.
func (*Operations) Write(fd int, b []byte) (int, error) {
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])),
			uintptr(len(b)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Writev is sendmsg(2) that does not block: writev(2) has no such flag.
func (*Operations) Writev(fd int, bufs [][]byte) (int, error) {
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
		return 0, nil
	}
	msg := unix.Msghdr{Iov: &vec[0]}
	msg.SetIovlen(n)
	for {
		k, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)),
			unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch errno {
		case 0:
			return int(k), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// Remote is getpeername(2) without an allocation. Every connection needs it where there are limits
// per address, and package unix would allocate 144 bytes.
//
//	sockaddr_in  | family 2 | port 2 | address 4
//	sockaddr_in6 | family 2 | port 2 | flow 4 | address 16 | scope 4
func (*Operations) Remote(fd int) netip.AddrPort {
	var name [unix.SizeofSockaddrAny]byte
	size := uint32(len(name))
	_, _, errno := unix.RawSyscall(unix.SYS_GETPEERNAME, uintptr(fd), uintptr(unsafe.Pointer(&name)),
		uintptr(unsafe.Pointer(&size)))
	port := binary.BigEndian.Uint16(name[2:])
	switch family := binary.NativeEndian.Uint16(name[:]); {
	case errno != 0 || family == unix.AF_UNIX:
		return netip.AddrPort{}
	case family == unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:])), port)
	case family == unix.AF_INET6 && binary.NativeEndian.Uint32(name[24:]) == 0:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(name[8:])).Unmap(), port)
	}
	return remote(fd) // its zone has a name
}

// Unacknowledged is SIOCOUTQ of tcp(7) and unix(7). TCP counts acknowledged bytes
// (tcpi_bytes_acked). For a unix socket, of which nothing moves but by a read of the peer or a
// write of ours, what is left tells as much. A reset empties the queue, and leaves the counts.
func (*Operations) Unacknowledged(fd int) (left int, taken uint64) {
	left, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	left = max(left, 0)
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil || info.Bytes_acked == 0 {
		return left, uint64(left)
	}
	if info.State == unix.BPF_TCP_CLOSE {
		sent := info.Bytes_sent - info.Bytes_retrans + uint64(info.Notsent_bytes)
		left = max(int(sent-info.Bytes_acked), 0)
	}
	return left, info.Bytes_acked
}

// IncomingCPU is SO_INCOMING_CPU of socket(7).
func (*Operations) IncomingCPU(fd int) int {
	cpu, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_INCOMING_CPU)
	if err != nil {
		return -1
	}
	return cpu
}
