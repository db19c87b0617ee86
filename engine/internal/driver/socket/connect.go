//go:build unix

package socket

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Connect makes a socket and begins to connect it, as driver.Backend's Connect says.
func Connect(network, address string, local netip.AddrPort) (fd int, err error) {
	return create(network, address, unix.SOCK_STREAM, func(fd, family int, sa unix.Sockaddr) error {
		return connect(fd, family, sa, local)
	})
}

func connect(fd, family int, sa unix.Sockaddr, local netip.AddrPort) error {
	if local.IsValid() {
		var bound unix.Sockaddr = &unix.SockaddrInet6{Addr: local.Addr().As16(), Port: int(local.Port())}
		if family == unix.AF_INET {
			if !local.Addr().Unmap().Is4() {
				return os.NewSyscallError("bind", unix.EAFNOSUPPORT)
			}
			bound = &unix.SockaddrInet4{Addr: local.Addr().Unmap().As4(), Port: int(local.Port())}
		}
		if local.Port() == 0 {
			bindNoPort(fd)
		}
		if err := unix.Bind(fd, bound); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	switch err := unix.Connect(fd, sa); err {
	case nil, unix.EINPROGRESS, unix.EINTR: // interrupted, it goes on all the same: connect(2)
		return nil
	default:
		return os.NewSyscallError("connect", err)
	}
}

// Duplicate is fcntl(2), F_DUPFD_CLOEXEC. That a socket is non-blocking belongs to what both descriptors stand for.
func Duplicate(fd int) (int, error) {
	d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return d, os.NewSyscallError("fcntl", err)
}

// NetConn makes a net.Conn of a connected socket, and takes fd over.
func NetConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "")
	defer f.Close() // FileConn has made a duplicate
	return net.FileConn(f)
}

// Connected says how connecting has ended, if it has: connect(2), EINPROGRESS.
func Connected(fd int) (bool, error) {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err != nil {
		return false, os.NewSyscallError("getsockopt", err)
	}
	if v != 0 {
		return false, os.NewSyscallError("connect", unix.Errno(v))
	}
	switch _, err := unix.Getpeername(fd); err {
	case nil:
		return true, nil
	case unix.ENOTCONN:
		return false, nil
	default:
		return false, os.NewSyscallError("getpeername", err)
	}
}
