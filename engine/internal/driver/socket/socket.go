//go:build unix

// Package socket has the system calls on sockets that every unix driver makes in the same way, none
// of them on the hot path.
//
// An option without which a socket does something else than it was made for is essential: its error
// is returned (IPV6_V6ONLY, SO_REUSEADDR, SO_REUSEPORT, multicast groups, and what SetOption sets).
// An option that only saves work is optional: a kernel or a sandbox without it goes on without it
// (TCP_NODELAY of new connections, TCP_DEFER_ACCEPT, IP_BIND_ADDRESS_NO_PORT, UDP_GRO, UDP_SEGMENT,
// SO_INCOMING_CPU, and the idle time of keep-alive).
package socket

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Listen makes a listening socket, as driver.Backend's Listen says.
func Listen(network, address string, o driver.ListenOptions) (fd int, err error) {
	return create(network, address, unix.SOCK_STREAM, func(fd, _ int, sa unix.Sockaddr) error {
		if err := bind(fd, network, address, sa); err != nil {
			return err
		}
		if o.DeferAccept > 0 && network != "unix" {
			deferAccept(fd, o.DeferAccept)
		}
		if err := SetInherited(fd, network != "unix", o); err != nil {
			return err
		}
		backlog := o.Backlog
		if backlog <= 0 {
			backlog = 1<<16 - 1 // the kernel takes its own maximum instead
		}
		return os.NewSyscallError("listen", unix.Listen(fd, backlog))
	})
}

// SetInherited sets the options that connections inherit from their listening socket.
func SetInherited(fd int, tcp bool, o driver.ListenOptions) error {
	if tcp {
		SetOption(fd, driver.NoDelay, 1) // best effort: drivers see to it, too
	}
	if o.KeepAlive > 0 && tcp {
		if err := SetOption(fd, driver.KeepAlive, o.KeepAlive); err != nil {
			return err
		}
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

// create makes a socket for an address and prepares it; it closes it again if that fails.
func create(network, address string, kind int, prepare func(fd, family int, sa unix.Sockaddr) error) (fd int, err error) {
	family, sa, err := resolve(network, address)
	if err != nil {
		return -1, err
	}
	fd, err = open(family, kind)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := prepare(fd, family, sa); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Spare opens a descriptor that costs little.
func Spare() (int, error) {
	return unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func bind(fd int, network, address string, sa unix.Sockaddr) error {
	switch network {
	case "unix":
		if err := removeStale(address, sa, unix.SOCK_STREAM); err != nil {
			return err
		}
	case "tcp", "tcp6":
		if _, ok := sa.(*unix.SockaddrInet6); ok {
			only := 0
			if network == "tcp6" {
				only = 1
			}
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
				return os.NewSyscallError("setsockopt", err)
			}
		}
	}
	// Connections of a process that has just ended keep the address in TIME_WAIT; that must not stop the next one.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// removeStale removes the file of a unix socket that nobody listens on any more.
func removeStale(path string, sa unix.Sockaddr, kind int) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil // bind tells
	}
	fd, err := open(unix.AF_UNIX, kind)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, sa); !errors.Is(err, unix.ECONNREFUSED) {
		return nil // in use: bind gives EADDRINUSE
	}
	return os.Remove(path)
}

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
			return 0, nil, fmt.Errorf("%v is no IPv6 address", addr)
		}
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(port), Addr: addr.As4()}, nil
	}
	if only4 {
		return 0, nil, fmt.Errorf("%v is no IPv4 address", addr)
	}
	zone, err := zoneID(addr.Zone())
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(port), Addr: addr.As16(), ZoneId: zone}, err
}

// dualStack says whether this machine has IPv6 sockets at all.
func dualStack() bool {
	fd, err := open(unix.AF_INET6, unix.SOCK_STREAM)
	if err == nil {
		unix.Close(fd)
	}
	return err == nil
}

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

// Local is the address that fd is bound to, the zero AddrPort if it has none of this kind.
func Local(fd int) netip.AddrPort {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// Remote is the address that fd is connected to, the zero AddrPort if it is not.
func Remote(fd int) netip.AddrPort {
	sa, err := unix.Getpeername(fd)
	if err != nil {
		return netip.AddrPort{}
	}
	return addrPort(sa)
}

// addrPort shows an IPv4 peer of a dual-stack socket as IPv4.
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

// SetOption sets an option of a connection.
func SetOption(fd int, o driver.Option, value int) error {
	var err error
	switch o {
	case driver.NoDelay:
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, value)
	case driver.KeepAlive:
		err = keepAlive(fd, value)
	case driver.ReceiveBuffer:
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, value)
	case driver.SendBuffer:
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, value)
	case driver.Linger:
		l := unix.Linger{Onoff: 1, Linger: int32(value)}
		if value < 0 {
			l = unix.Linger{}
		}
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
	}
	return os.NewSyscallError("setsockopt", err)
}

func keepAlive(fd, seconds int) error {
	if seconds <= 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	if keepIdle != 0 { // OpenBSD has the system's setting only
		err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, keepIdle, seconds)
		if err != nil && err != unix.ENOPROTOOPT && err != unix.EOPNOTSUPP {
			return err // such as a time that is too long
		}
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}
