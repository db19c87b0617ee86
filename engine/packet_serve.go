package engine

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Serve takes over an open datagram socket, like ListenConfig.Serve: a *net.UDPConn, or a
// *net.UnixConn of network "unixgram", such as net.FilePacketConn makes of an inherited descriptor.
// It must not be connected. Control has no effect, and PerLoop is an error. The options of the
// socket stay as they are, but ReadBuffer and WriteBuffer are set if they are not 0, and if the
// socket is bound to the unspecified address, PacketAddr.Local is asked for.
//
// When Serve returns nil, c is closed, and the engine owns its socket, which other processes may
// have as well: each datagram goes to one of them. The file of a unix socket is never removed. When
// Serve returns an error, c is open, and its socket unchanged but for these options. accept is that
// of Listen. Serve may be called from any goroutine.
func (pc PacketConfig) Serve(e *Engine, c net.PacketConn,
	accept func(*PacketConn) PacketProtocol) (*PacketListener, error) {
	if err := checkFunc("serve", "accept", accept == nil); err != nil {
		return nil, err
	}
	if pc.PerLoop {
		return nil, errors.New("engine: serve: PerLoop does not apply to a socket that is open already")
	}
	pl := &PacketListener{engine: e}
	network, remote := "", net.Addr(nil)
	switch c := c.(type) {
	case *net.UDPConn:
		network, remote = "udp", c.RemoteAddr()
	case *net.UnixConn:
		network, remote = c.LocalAddr().Network(), c.RemoteAddr()
		pl.path = c.LocalAddr().String()
	}
	switch {
	case network != "udp" && network != "unixgram":
		return nil, fmt.Errorf("engine: serve: want a *net.UDPConn or a *net.UnixConn of unixgram, not %T", c)
	case remote != nil:
		return nil, fmt.Errorf("engine: serve: the socket is connected to %v", remote)
	}
	if e.isStopping() {
		return nil, ErrClosed
	}
	fd, err := duplicateOf(c.(syscall.Conn))
	if err == nil {
		err = setInheritedPacket(fd, driver.PacketOptions{ReadBuffer: pc.ReadBuffer, WriteBuffer: pc.WriteBuffer})
		if err != nil {
			platform.CloseFd(fd)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("engine: serve %s: %w", c.LocalAddr(), err)
	}
	if err := e.servePackets(pl, []int{fd}, accept); err != nil {
		return nil, err
	}
	c.Close() // closes its own descriptor
	return pl, nil
}
