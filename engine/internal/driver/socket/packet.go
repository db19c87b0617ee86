//go:build unix

package socket

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// maxDatagram is the size of the largest datagram: what UDP's length field allows, rounded up.
const maxDatagram = 64 << 10

// ListenPacket implements driver.Backend.
func (Maker) ListenPacket(network, address string, o driver.PacketOptions) (fd int, err error) {
	return create(network, address, unix.SOCK_DGRAM, func(fd, _ int, sa unix.Sockaddr) error {
		if network != "unixgram" {
			return bindPacket(fd, network, sa, o)
		}
		return bindPath(address, sa, unix.SOCK_DGRAM, o.File, func() error {
			return bindMode(fd, sa, o.FileMode, func() error { return bindPacket(fd, network, sa, o) })
		})
	})
}

// SetInheritedPacket sets the options of a datagram socket that somebody else has bound. Another
// process may have it too, and could not tell joined datagrams apart, so Coalesce does not apply.
func SetInheritedPacket(fd int, o driver.PacketOptions) error {
	if bound, err := unix.Getsockname(fd); err == nil {
		askLocal(fd, bound)
	}
	if o.ReadBuffer > 0 {
		if err := SetOption(fd, driver.ReceiveBuffer, o.ReadBuffer); err != nil {
			return err
		}
	}
	if o.WriteBuffer > 0 {
		return SetOption(fd, driver.SendBuffer, o.WriteBuffer)
	}
	return nil
}

func bindPacket(fd int, network string, sa unix.Sockaddr, o driver.PacketOptions) error {
	var set []error
	option := func(level, name, value int) {
		set = append(set, os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value)))
	}
	switch _, inet6 := sa.(*unix.SockaddrInet6); {
	case inet6 && network == "udp6":
		option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	case inet6:
		option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if o.ReusePort {
		set = append(set, reusePort(fd))
	}
	if o.ReadBuffer > 0 {
		option(unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReadBuffer)
	}
	if o.WriteBuffer > 0 {
		option(unix.SOL_SOCKET, unix.SO_SNDBUF, o.WriteBuffer)
	}
	if network != "unixgram" {
		askLocal(fd, sa)
	}
	if o.Coalesce && network != "unixgram" {
		coalesce(fd)
	}
	if o.Control != nil {
		set = append(set, o.Control(fd))
	}
	return errors.Join(append(set, os.NewSyscallError("bind", unix.Bind(fd, sa)))...)
}
