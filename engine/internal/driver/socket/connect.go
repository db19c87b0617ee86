//go:build unix

package socket

import (
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// Connect implements driver.Backend.
func (Maker) Connect(network, address string, local netip.AddrPort) (fd int, err error) {
	return create(network, address, unix.SOCK_STREAM, func(fd, family int, sa unix.Sockaddr) error {
		return connect(fd, family, sa, local)
	})
}

func connect(fd, family int, sa unix.Sockaddr, local netip.AddrPort) error {
	if local.IsValid() {
		zone, err := zoneID(local.Addr().Zone())
		if err != nil {
			return err
		}
		var bound unix.Sockaddr = &unix.SockaddrInet6{Addr: local.Addr().As16(), Port: int(local.Port()), ZoneId: zone}
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
	case nil, unix.EINPROGRESS, unix.EINTR: // it goes on after a signal: connect(2)
		return nil
	default:
		return os.NewSyscallError("connect", err)
	}
}
