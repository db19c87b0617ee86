//go:build unix

package socket

import (
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Maker implements the part of driver.Backend that makes and closes sockets.
type Maker struct{}

// Listen implements driver.Backend.
func (Maker) Listen(network, address string, o driver.ListenOptions) (fd int, err error) {
	return create(network, address, unix.SOCK_STREAM, func(fd, _ int, sa unix.Sockaddr) error {
		if network != "unix" {
			return listen(fd, network, sa, o)
		}
		return bindPath(address, sa, unix.SOCK_STREAM, o.File, func() error { return listen(fd, network, sa, o) })
	})
}

func listen(fd int, network string, sa unix.Sockaddr, o driver.ListenOptions) error {
	if o.ReusePort {
		if err := reusePort(fd); err != nil {
			return err
		}
	}
	err := bindMode(fd, sa, o.FileMode, func() error { return bind(fd, network, sa, o.Control) })
	if err != nil {
		return err
	}
	if o.DeferAccept > 0 && network != "unix" {
		deferAccept(fd, o.DeferAccept)
	}
	if err := SetInherited(fd, network != "unix", o); err != nil {
		return err
	}
	if o.BindOnly {
		return nil
	}
	return Listen(fd, o.Backlog)
}

// Listen makes a bound socket listen, with the kernel's maximal backlog instead of 0. A socket that
// listens already gets the backlog.
func Listen(fd, backlog int) error {
	if backlog <= 0 {
		backlog = 1<<16 - 1 // the kernel lowers it to its own maximum
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// create makes a socket for an address and prepares it. If prepare fails, or panics, it closes the
// socket.
func create(network, address string, kind int, prepare func(fd, family int, sa unix.Sockaddr) error) (int, error) {
	family, sa, err := resolve(network, address)
	if err != nil {
		return -1, err
	}
	fd, err := open(family, kind)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	prepared := false
	defer func() {
		if !prepared {
			unix.Close(fd)
		}
	}()
	if err := prepare(fd, family, sa); err != nil {
		return -1, err
	}
	prepared = true
	return fd, nil
}

// Spare implements driver.Backend.
func (Maker) Spare() (int, error) {
	return unix.Open(os.DevNull, unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func bind(fd int, network string, sa unix.Sockaddr, control func(fd int) error) error {
	if _, ok := sa.(*unix.SockaddrInet6); ok {
		only := 0
		if network == "tcp6" {
			only = 1
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, only); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	// Connections of a process that has just ended keep the address in TIME_WAIT. The next process
	// must get it.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	if control != nil {
		if err := control(fd); err != nil {
			return err
		}
	}
	return os.NewSyscallError("bind", unix.Bind(fd, sa))
}

// Addr implements driver.Backend.
func (Maker) Addr(fd int) netip.AddrPort { return local(fd) }

// NetConn implements driver.Backend. Package net sets the options of a new TCP connection, so those
// that the connection had are set again.
func (Maker) NetConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "")
	defer f.Close() // FileConn makes a duplicate
	var had [len(netOptions)]int
	var errs [len(netOptions)]error
	for i, o := range netOptions {
		had[i], errs[i] = unix.GetsockoptInt(fd, o.level, o.name)
	}
	nc, err := net.FileConn(f)
	for i, o := range netOptions {
		if err == nil && errs[i] == nil { // a unix socket has no options of TCP
			unix.SetsockoptInt(fd, o.level, o.name, had[i])
		}
	}
	return nc, err
}

// CloseFd implements driver.Backend.
func (Maker) CloseFd(fd int) { Close(fd, false) }

// Leave implements driver.Backend.
func (Maker) Leave(fd int) { unix.Close(fd) }

// Duplicate is fcntl(2) with F_DUPFD_CLOEXEC. The new descriptor is non-blocking if fd is: that
// belongs to the socket.
func Duplicate(fd int) (int, error) {
	d, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	return d, os.NewSyscallError("fcntl", err)
}

// Close closes a socket. With reset the peer gets a RST, if it is a TCP socket.
//
// With SO_LINGER and a time, close(2) waits for the peer, even if the socket is non-blocking. The
// option can come from SetLinger, from the connection's life before it was adopted, or by
// inheritance from a listener. So the kernel is asked, and the option is switched off.
func Close(fd int, reset bool) {
	switch {
	case reset:
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
	case lingers(fd):
		unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{})
	}
	unix.Close(fd)
}
