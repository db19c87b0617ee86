package engine

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/driver/epoll"
	"github.com/myriadnet/myriad/engine/internal/driver/socket"
)

var platform driver.Backend = epoll.Backend{}

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
const inheritsOptions = true

// bindThread binds the calling thread to a processor, by sched_setaffinity(2).
func bindThread(cpu int) error {
	var set unix.CPUSet
	set.Set(cpu)
	return unix.SchedSetaffinity(0, &set)
}

// mayBind returns an error if the process may not use the processor.
func mayBind(cpu int) error {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return err
	}
	if !set.IsSet(cpu) {
		return fmt.Errorf("processor %d is not one that the process may use", cpu)
	}
	return nil
}
