//go:build darwin || dragonfly || freebsd || netbsd || openbsd

package engine

import (
	"errors"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/kqueue"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

var platform driver.Backend = kqueue.Backend{}

// duplicate returns another descriptor of the same socket.
func duplicate(fd int) (int, error) { return socket.Duplicate(fd) }

// setInherited sets those options of a listening TCP socket that its connections inherit.
func setInherited(fd int, o driver.ListenOptions) error { return socket.SetInherited(fd, true, o) }

// startListening calls listen(2) for a bound socket.
func startListening(fd, backlog int) error { return socket.Listen(fd, backlog) }

// setInheritedPacket sets the options of a datagram socket that somebody else has bound.
func setInheritedPacket(fd int, o driver.PacketOptions) error {
	return socket.SetInheritedPacket(fd, o)
}

// inheritsOptions is whether an accepted TCP connection has the options of its listening socket.
// Some of these systems pass on some of them.
const inheritsOptions = false

func bindThread(int) error { return errors.ErrUnsupported }
func mayBind(int) error    { return errors.ErrUnsupported }
