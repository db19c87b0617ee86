//go:build unix

package socket

import (
	"errors"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// MaxDatagram is the largest datagram: what UDP's length field leaves, rounded up.
const MaxDatagram = 64 << 10

// ListenPacket makes a bound datagram socket, as driver.Backend's ListenPacket says.
func ListenPacket(network, address string, o driver.PacketOptions) (fd int, err error) {
	return create(network, address, unix.SOCK_DGRAM, func(fd, _ int, sa unix.Sockaddr) error {
		return bindPacket(fd, network, address, sa, o)
	})
}

func bindPacket(fd int, network, address string, sa unix.Sockaddr, o driver.PacketOptions) error {
	var set []error
	option := func(level, name, value int) {
		set = append(set, os.NewSyscallError("setsockopt", unix.SetsockoptInt(fd, level, name, value)))
	}
	switch _, inet6 := sa.(*unix.SockaddrInet6); {
	case network == "unixgram":
		set = append(set, removeStale(address, sa, unix.SOCK_DGRAM))
	case inet6 && network == "udp6":
		option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	case inet6:
		option(unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 0)
	}
	if o.ReusePort {
		option(unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if o.ReadBuffer > 0 {
		option(unix.SOL_SOCKET, unix.SO_RCVBUF, o.ReadBuffer)
	}
	if o.WriteBuffer > 0 {
		option(unix.SOL_SOCKET, unix.SO_SNDBUF, o.WriteBuffer)
	}
	if o.Coalesce && network != "unixgram" {
		coalesce(fd)
	}
	return errors.Join(append(set, os.NewSyscallError("bind", unix.Bind(fd, sa)))...)
}

// SetGroup joins or leaves a multicast group, as driver.Backend's SetGroup says.
func SetGroup(fd int, group netip.Addr, ifname string, join bool) error {
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

// firstIPv4 is how ip_mreq of ip(7) names an interface.
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
