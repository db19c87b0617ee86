//go:build unix

package socket

import (
	"cmp"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Operations implements driver.Sockets. The zero value is ready to use.
type Operations struct{ datagrams }

// CloseWrite implements driver.Sockets.
func (*Operations) CloseWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// Connected implements driver.Sockets, as connect(2) describes for EINPROGRESS.
func (*Operations) Connected(fd int) (bool, error) {
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

// Waiting implements driver.Sockets with poll(2).
func (*Operations) Waiting(fd int) bool {
	for {
		p := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p[:], 0)
		if err != unix.EINTR {
			return n > 0
		}
	}
}

// HungUp implements driver.Sockets. poll(2) of macOS tells nothing unasked, so SO_ERROR is first.
func (*Operations) HungUp(fd int) (bool, error) {
	if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err != nil || v != 0 {
		return true, cmp.Or[error](err, unix.Errno(v))
	}
	p := [1]unix.PollFd{{Fd: int32(fd)}}
	for {
		if _, err := unix.Poll(p[:], 0); err != unix.EINTR {
			break
		}
	}
	return p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0, nil
}

// Local implements driver.Sockets.
func (*Operations) Local(fd int) netip.AddrPort { return local(fd) }

// SetOption implements driver.Sockets.
func (*Operations) SetOption(fd int, o driver.Option, value int) error {
	return SetOption(fd, o, value)
}

// SetGroup implements driver.Sockets.
func (*Operations) SetGroup(fd int, group netip.Addr, ifname string, join bool) error {
	var ifi *net.Interface
	if ifname != "" {
		var err error
		if ifi, err = net.InterfaceByName(ifname); err != nil {
			return err
		}
	}
	if group.Is4() {
		option := unix.IP_DROP_MEMBERSHIP
		if join {
			option = unix.IP_ADD_MEMBERSHIP
		}
		m := unix.IPMreq{Multiaddr: group.As4()}
		if ifi != nil {
			addr, err := firstIPv4(ifi)
			if err != nil {
				return err
			}
			m.Interface = addr.As4()
		}
		return os.NewSyscallError("setsockopt", unix.SetsockoptIPMreq(fd, unix.IPPROTO_IP, option, &m))
	}
	option := unix.IPV6_LEAVE_GROUP
	if join {
		option = unix.IPV6_JOIN_GROUP
	}
	m := unix.IPv6Mreq{Multiaddr: group.As16()}
	if ifi != nil {
		m.Interface = uint32(ifi.Index)
	}
	return os.NewSyscallError("setsockopt", unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, option, &m))
}

// firstIPv4 returns an address of an interface: ip_mreq of ip(7) needs one.
func firstIPv4(ifi *net.Interface) (netip.Addr, error) {
	addrs, err := ifi.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return netip.AddrFrom4([4]byte(n.IP.To4())), nil
		}
	}
	return netip.Addr{}, &net.AddrError{Err: "interface has no IPv4 address", Addr: ifi.Name}
}
