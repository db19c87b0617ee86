package drivertest

import (
	"errors"
	"net/netip"
	"runtime"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

var listenCases = []testCase{
	{name: "accept all", run: func(h *host) {
		for range 5 {
			h.peer()
		}
		h.until("five connections", func() bool { return len(h.order) == 5 })
		h.quiet("everything accepted")
		for i, a := range h.order {
			for _, b := range h.order[:i] {
				h.check(a.fd != b.fd, "descriptor %d handed out twice", a.fd)
			}
		}
	}},
	{name: "accept one per turn", run: func(h *host) {
		h.onAccepted = func(*conn) bool { return false }
		for range 3 {
			h.peer()
		}
		for want := 1; want <= 3; want++ {
			h.until("connection", func() bool { return len(h.order) >= want })
			h.check(len(h.order) == want, "%d connections after Accepted said to stop at %d", len(h.order), want)
		}
		h.quiet("everything accepted")
	}},
	{name: "pause and resume accepting", run: func(h *host) {
		for range 2 { // paused for a reason, and for another one
			h.noErr(h.poller.SetAccepting(h.listener, h.lt, false))
		}
		h.peer()
		h.quiet("paused")
		for range 2 {
			h.noErr(h.poller.SetAccepting(h.listener, h.lt, true))
		}
		h.until("connection", func() bool { return len(h.order) == 1 })
	}},
	{name: "pause in Accepted", run: func(h *host) {
		h.onAccepted = func(*conn) bool {
			h.noErr(h.poller.SetAccepting(h.listener, h.lt, false))
			return false
		}
		h.peer()
		h.peer()
		h.until("connection", func() bool { return len(h.order) == 1 })
		h.quiet("paused")
		h.noErr(h.poller.SetAccepting(h.listener, h.lt, true))
		h.until("second connection", func() bool { return len(h.order) == 2 })
	}},
	{name: "Accept without a poll", run: func(h *host) {
		h.poller.Accept(h.lt, h)
		h.check(len(h.order) == 0, "%d connections out of nothing", len(h.order))
		h.peer()
		h.peer()
		h.peer()
		for end := time.Now().Add(patience); len(h.order) < 3; {
			h.check(time.Now().Before(end), "%d connections", len(h.order))
			h.poller.Accept(h.lt, h)
		}
		h.quiet("everything accepted")
		h.check(len(h.failures) == 0, "%v", h.failures)
	}},
	{name: "close the listener in Accepted", run: func(h *host) {
		h.onAccepted = func(*conn) bool {
			if h.listener >= 0 {
				h.poller.CloseListener(h.listener, h.lt)
				h.listener = -1
			}
			return true
		}
		h.peer()
		h.peer()
		h.until("connection", func() bool { return len(h.order) > 0 })
		h.quiet("closed")
		h.check(len(h.order) == 1 && len(h.failures) == 0, "%d accepted, %v", len(h.order), h.failures)
	}},
	{name: "handed over to another driver", run: func(h *host) {
		fd, p := h.untaken()
		other := newHost(h.t, h.b, h.dial, "tcp")
		c := other.add(fd, driver.Read)
		h.noErr(p.Send([]byte("over here")))
		other.until("bytes", func() bool { return string(c.got) == "over here" })
		h.quiet("not its connection")
		other.shut()
	}},
	{name: "a descriptor that nobody took", run: func(h *host) {
		fd, p := h.untaken()
		h.b.CloseFd(fd)
		_, err := recvRest(p)
		h.noErr(err)
	}},
	{name: "addresses", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(0)
		h.check(h.sockets.Local(c.fd).String() == h.address, "Local %v, want %v", h.sockets.Local(c.fd), h.address)
		h.check(h.sockets.Remote(c.fd) == p.Addr(), "Remote %v, want %v", h.sockets.Remote(c.fd), p.Addr())
		h.check(h.b.Addr(h.listener).String() == h.address, "Addr %v, want %v", h.b.Addr(h.listener), h.address)
	}},
	{name: "a unix socket has no address", run: func(h *host) {
		if h.network != "unix" {
			h.t.Skip("tcp")
		}
		c, _ := h.pair(0)
		none := netip.AddrPort{}
		h.check(h.sockets.Local(c.fd) == none && h.sockets.Remote(c.fd) == none && h.b.Addr(h.listener) == none,
			"%v %v %v", h.sockets.Local(c.fd), h.sockets.Remote(c.fd), h.b.Addr(h.listener))
	}},
	{name: "address in use", tcpOnly: true, run: func(h *host) {
		fd, err := h.b.Listen("tcp", h.address, driver.ListenOptions{})
		h.check(errors.Is(err, syscall.EADDRINUSE), "Listen: %d, %v", fd, err)
	}},
	{name: "port of a closed connection", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read)
		c.close(false) // we close first: our side keeps TIME_WAIT
		_, err := recvRest(p)
		h.noErr(err)
		h.noErr(p.Close())
		h.poller.CloseListener(h.listener, h.lt)
		h.listen()
		h.pair(0)
	}},
	{name: "bad addresses", run: func(h *host) {
		for _, bad := range [][2]string{{"tcp", "nonsense"}, {"tcp", "127.0.0.1"}, {"tcp4", "[::1]:0"},
			{"sctp", "127.0.0.1:0"}} {
			fd, err := h.b.Listen(bad[0], bad[1], driver.ListenOptions{})
			h.check(err != nil, "Listen(%q, %q) gave descriptor %d", bad[0], bad[1], fd)
		}
	}},
	{name: "options", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read)
		for _, o := range []struct {
			option driver.Option
			value  int
		}{
			{driver.NoDelay, 0}, {driver.NoDelay, 1}, {driver.KeepAlive, 30}, {driver.KeepAlive, 0},
			{driver.ReceiveBuffer, 32 << 10}, {driver.SendBuffer, 32 << 10}, {driver.Linger, 3}, {driver.Linger, -1},
			{driver.WriteAhead, 16 << 10},
		} {
			if o.option == driver.WriteAhead && runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
				continue
			}
			h.noErr(h.sockets.SetOption(c.fd, o.option, o.value))
			if h.kernel {
				checkOption(h, c.fd, o.option, o.value)
			}
		}
		h.noErr(p.Send([]byte("works")))
		h.until("bytes", func() bool { return string(c.got) == "works" })
	}},
	{name: "descriptor flags", run: func(h *host) {
		if !h.kernel {
			h.t.Skip("simulated")
		}
		c, _ := h.pair(0)
		checkFlags(h, "connection", c.fd)
		if h.network != "unix" {
			checkOption(h, c.fd, driver.NoDelay, 1)
		}
		checkFlags(h, "listener", h.listener)
	}},
}

// untaken returns a connection that was accepted and not registered, and its peer.
func (h *host) untaken() (int, Peer) {
	h.t.Helper()
	p, fd := h.peer(), -1
	for end := time.Now().Add(patience); fd < 0; {
		h.check(time.Now().Before(end), "no connection")
		_, err := h.poller.Poll(10*time.Millisecond, keepSink{host: h, fd: &fd})
		h.noErr(err)
	}
	return fd, p
}

// keepSink keeps an accepted descriptor without registering it.
type keepSink struct {
	*host
	fd *int
}

func (s keepSink) Accepted(_ driver.Token, fd int) bool {
	*s.fd = fd
	return false
}
