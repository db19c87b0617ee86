package socket

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestConnectLeavesPortToConnect checks that a socket that is bound to an address alone gets its
// port when it connects, if the kernel can do that. It is bound in any case.
func TestConnectLeavesPortToConnect(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	spare, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(spare)
	for _, c := range []struct {
		name, local string
		want        int
	}{
		{name: "port is the kernel's to choose", local: "127.0.0.9:0", want: 1},
		{name: "port is given", local: "127.0.0.9:" + freePort(t), want: 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			local := netip.MustParseAddrPort(c.local)
			fd, err := Maker{}.Connect("tcp4", ln.Addr().String(), local)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if got := (Maker{}).Addr(fd); got.Addr() != local.Addr() ||
				local.Port() != 0 && got.Port() != local.Port() {
				t.Errorf("bound to %v, want %v", got, local)
			}
			if err := unix.SetsockoptInt(spare, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1); err != nil {
				t.Skipf("bind(2) chooses the port: no IP_BIND_ADDRESS_NO_PORT here: %v", err)
			}
			got, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT)
			if got != c.want || err != nil {
				t.Errorf("IP_BIND_ADDRESS_NO_PORT is %d, %v; want %d", got, err, c.want)
			}
		})
	}
}

// TestConnectKeepsTheZone of the local address: without it bind(2) refuses a link-local address.
func TestConnectKeepsTheZone(t *testing.T) {
	fd, err := open(unix.AF_INET6, unix.SOCK_STREAM)
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	defer unix.Close(fd)
	local := netip.MustParseAddrPort("[fe80::1%lo]:0")
	remote := &unix.SockaddrInet6{Addr: local.Addr().As16(), Port: 1, ZoneId: 1}
	// The address is nobody's here: EADDRNOTAVAIL. Without a zone it is EINVAL.
	if err := connect(fd, unix.AF_INET6, remote, local); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Error(err)
	}
	if err := connect(fd, unix.AF_INET6, remote, netip.MustParseAddrPort("[fe80::1%nosuchif]:0")); err == nil {
		t.Error("connected from an interface that there is not")
	}
}

// freePort returns a port of 127.0.0.9 that is not in use.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
