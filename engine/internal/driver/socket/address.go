//go:build unix

package socket

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// resolve parses an address, which has no names in it.
func resolve(network, address string) (family int, sa unix.Sockaddr, err error) {
	switch network {
	case "unix", "unixgram":
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: address}, nil
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
	default:
		return 0, nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return 0, nil, err
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return 0, nil, fmt.Errorf("port %q: want 0 to 65535", service)
	}
	addr := netip.IPv6Unspecified()
	only4, only6 := strings.HasSuffix(network, "4"), strings.HasSuffix(network, "6")
	if only4 {
		addr = netip.IPv4Unspecified()
	}
	if host != "" {
		if addr, err = netip.ParseAddr(host); err != nil {
			return 0, nil, err
		}
	} else if !only4 && !only6 && !dualStack() {
		addr = netip.IPv4Unspecified()
	}
	if addr = addr.Unmap(); addr.Is4() {
		if only6 {
			return 0, nil, fmt.Errorf("%v is not an IPv6 address", addr)
		}
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: addr.As4()}, nil
	}
	if only4 {
		return 0, nil, fmt.Errorf("%v is not an IPv4 address", addr)
	}
	zone, err := zoneID(addr.Zone())
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(port), Addr: addr.As16(), ZoneId: zone}, err
}

// dualStack reports whether this machine has IPv6 sockets.
func dualStack() bool {
	fd, err := open(unix.AF_INET6, unix.SOCK_STREAM)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

// zoneID returns the number of an interface, which may be given as its name.
func zoneID(zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}

// addrPort converts sa. An IPv4 peer of a dual-stack socket becomes an IPv4 address.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		addr := netip.AddrFrom16(sa.Addr).Unmap()
		if sa.ZoneId != 0 && addr.Is6() {
			zone := strconv.Itoa(int(sa.ZoneId))
			if i, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
				zone = i.Name
			}
			addr = addr.WithZone(zone)
		}
		return netip.AddrPortFrom(addr, uint16(sa.Port))
	default:
		return netip.AddrPort{}
	}
}

// local returns the address that fd is bound to, the zero AddrPort for a unix socket.
func local(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// remote returns the address that fd is connected to, the zero AddrPort if it is not connected.
func remote(fd int) netip.AddrPort {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}
