//go:build unix

package socket

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// SetOption is the SetOption of driver.Sockets.
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
	case driver.WriteAhead:
		err = unix.ENOPROTOOPT
		if notSentLowat != 0 {
			err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, notSentLowat, value)
		}
	case driver.Linger:
		l := unix.Linger{Onoff: 1, Linger: int32(value)}
		if value < 0 {
			l = unix.Linger{}
		}
		err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &l)
	}
	return os.NewSyscallError("setsockopt", err)
}

// How long a peer that is gone goes unnoticed depends on these as well, and the system's are 75
// seconds and 9. They are the defaults of net.KeepAliveConfig.
const (
	probeInterval = 15 // seconds, or less if the time without traffic is shorter
	probes        = 9
)

func keepAlive(fd, seconds int) error {
	if seconds <= 0 {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 0)
	}
	if keepIdle != 0 { // OpenBSD has the system's setting only
		for _, o := range [...]struct{ name, value int }{
			{keepIdle, seconds}, {keepInterval, min(seconds, probeInterval)}, {keepCount, probes},
		} {
			err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, o.name, o.value)
			if err != nil && err != unix.ENOPROTOOPT && err != unix.EOPNOTSUPP {
				return err // such as a time that is too long
			}
		}
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1)
}

// SetInherited sets the options that connections inherit from their listening socket.
func SetInherited(fd int, tcp bool, o driver.ListenOptions) error {
	if tcp {
		SetOption(fd, driver.NoDelay, 1) // best effort
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
