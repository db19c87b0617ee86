//go:build unix

package drivertest

import (
	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// checkFlags asks the kernel for close-on-exec and non-blocking.
func checkFlags(h *host, what string, fd int) {
	h.t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	h.noErr(err)
	h.check(flags&unix.FD_CLOEXEC != 0, "%s: not close-on-exec", what)
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	h.noErr(err)
	h.check(flags&unix.O_NONBLOCK != 0, "%s: blocking", what)
}

// checkOption asks the kernel for the value of o.
func checkOption(h *host, fd int, o driver.Option, value int) {
	h.t.Helper()
	ask := func(level, name int) int {
		v, err := unix.GetsockoptInt(fd, level, name)
		h.noErr(err)
		return v
	}
	switch o {
	case driver.NoDelay:
		v := ask(unix.IPPROTO_TCP, unix.TCP_NODELAY)
		h.check((v != 0) == (value != 0), "TCP_NODELAY is %d after %d", v, value)
	case driver.KeepAlive:
		v := ask(unix.SOL_SOCKET, unix.SO_KEEPALIVE)
		h.check((v != 0) == (value != 0), "SO_KEEPALIVE is %d after %d", v, value)
	case driver.ReceiveBuffer:
		v := ask(unix.SOL_SOCKET, unix.SO_RCVBUF)
		h.check(v >= value, "SO_RCVBUF is %d after %d", v, value) // Linux doubles it
	case driver.SendBuffer:
		v := ask(unix.SOL_SOCKET, unix.SO_SNDBUF)
		h.check(v >= value, "SO_SNDBUF is %d after %d", v, value)
	}
}

// duplicate opens another descriptor of the same socket.
func duplicate(h *host, fd int) (close func()) {
	h.t.Helper()
	other, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	h.noErr(err)
	return func() { unix.Close(other) }
}

// makeBlocking clears O_NONBLOCK, as os.File.Fd does.
func makeBlocking(h *host, fd int) {
	h.t.Helper()
	h.noErr(unix.SetNonblock(fd, false))
}
