//go:build unix

package socket

import (
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Operations implements driver.Sockets. The zero value is ready to use.
type Operations struct{ Datagrams }

// CloseWrite implements driver.Sockets.
func (*Operations) CloseWrite(fd int) error { return unix.Shutdown(fd, unix.SHUT_WR) }

// IncomingCPU implements driver.Sockets.
func (*Operations) IncomingCPU(fd int) int { return IncomingCPU(fd) }

// Unacknowledged implements driver.Sockets.
func (*Operations) Unacknowledged(fd int) int { return Unacknowledged(fd) }

// Connected implements driver.Sockets.
func (*Operations) Connected(fd int) (bool, error) { return Connected(fd) }

// Local implements driver.Sockets.
func (*Operations) Local(fd int) netip.AddrPort { return Local(fd) }

// SetOption implements driver.Sockets.
func (*Operations) SetOption(fd int, o driver.Option, value int) error {
	return SetOption(fd, o, value)
}

// Maker implements the part of driver.Backend that makes and closes sockets.
type Maker struct{}

// Listen implements driver.Backend.
func (Maker) Listen(network, address string, o driver.ListenOptions) (int, error) {
	return Listen(network, address, o)
}

// ListenPacket implements driver.Backend.
func (Maker) ListenPacket(network, address string, o driver.PacketOptions) (int, error) {
	return ListenPacket(network, address, o)
}

// SetGroup implements driver.Sockets.
func (*Operations) SetGroup(fd int, group netip.Addr, ifname string, join bool) error {
	return SetGroup(fd, group, ifname, join)
}

// Connect implements driver.Backend.
func (Maker) Connect(network, address string, local netip.AddrPort) (int, error) {
	return Connect(network, address, local)
}

// Addr implements driver.Backend.
func (Maker) Addr(fd int) netip.AddrPort { return Local(fd) }

// Spare implements driver.Backend.
func (Maker) Spare() (int, error) { return Spare() }

// NetConn implements driver.Backend.
func (Maker) NetConn(fd int) (net.Conn, error) { return NetConn(fd) }

// CloseFd implements driver.Backend.
func (Maker) CloseFd(fd int) { unix.Close(fd) }

// Close closes a socket. With reset the peer gets a RST, if it is a TCP socket.
func Close(fd int, reset bool) {
	if reset {
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	}
	unix.Close(fd)
}
