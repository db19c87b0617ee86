package drivertest

import (
	"errors"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// sharedCases are about sockets that other descriptors, perhaps of other processes, refer to. The
// simulator has no such descriptors.
var sharedCases = []testCase{
	{name: "a closed connection whose socket stays open", kernelOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read | driver.Write)
		other := duplicate(h, c.fd)
		c.close(false)
		h.noErr(p.Send([]byte("to the other descriptor")))
		h.quiet("closed")
		other()
	}},
	{name: "a closed listener whose socket stays open", kernelOnly: true, run: func(h *host) {
		other := duplicate(h, h.listener)
		h.poller.CloseListener(h.listener, h.lt)
		h.listener = -1
		h.peer()
		h.quiet("closed")
		h.check(len(h.order) == 0, "%d connections were accepted", len(h.order))
		other()
	}},
	{name: "O_NONBLOCK of a connection is cleared", kernelOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read)
		makeBlocking(h, c.fd)
		h.onReceived = func(*conn) bool { return true } // read once more: nothing is there
		h.noErr(p.Send([]byte("x")))
		h.atOnce("recv", func() { h.until("byte", func() bool { return len(c.got) > 0 }) })
		h.atOnce("send", func() { fill(h, c) })
		h.atOnce("sendmsg", func() {
			for { // the peer's window can grow once more after fill
				n, err := h.sockets.Writev(c.fd, [][]byte{[]byte("a"), make([]byte, 1<<20)})
				if n <= 0 {
					h.check(errors.Is(err, syscall.EAGAIN), "Writev: %d, %v", n, err)
					return
				}
				h.noErr(err)
			}
		})
	}},
	{name: "O_NONBLOCK of a listener is cleared", kernelOnly: true, run: func(h *host) {
		for range 3 { // also after it was cleared once
			makeBlocking(h, h.listener)
			h.atOnce("accept", func() { h.poller.Accept(h.lt, h) })
			before := len(h.order)
			h.peer()
			h.peer()
			h.atOnce("accept", func() {
				h.until("two connections", func() bool { return len(h.order) == before+2 })
			})
		}
		h.check(len(h.failures) == 0, "%v", h.failures)
	}},
	{name: "O_NONBLOCK of a datagram socket is cleared", kernelOnly: true, run: func(h *host) {
		fd, err := h.b.ListenPacket("udp4", "127.0.0.1:0", driver.PacketOptions{})
		h.noErr(err)
		defer h.b.CloseFd(fd)
		makeBlocking(h, fd)
		h.atOnce("recvmmsg", func() {
			_, err := h.sockets.Receive(fd)
			h.check(errors.Is(err, syscall.EAGAIN), "Receive: %v", err)
		})
	}},
	{name: "SO_LINGER does not make close wait", kernelOnly: true, tcpOnly: true, run: func(h *host) {
		for _, reset := range []bool{false, true} {
			c, _ := h.pair(driver.Read)
			h.noErr(h.sockets.SetOption(c.fd, driver.Linger, int(patience/time.Second)))
			fill(h, c)
			h.atOnce("close", func() { c.close(reset) })
		}
	}},
	{name: "SO_LINGER of a listener does not make close wait", kernelOnly: true, tcpOnly: true, run: func(h *host) {
		h.noErr(h.sockets.SetOption(h.listener, driver.Linger, int(patience/time.Second)))
		fd, _ := h.untaken()
		c := h.add(fd, driver.Read)
		fill(h, c)
		h.atOnce("close", func() { c.close(false) })
	}},
}

// atOnce calls f, which must not wait. The system call that blocks can last for ever.
func (h *host) atOnce(call string, f func()) {
	h.t.Helper()
	defer time.AfterFunc(patience/2, func() { panic(call + " blocks") }).Stop()
	f()
}
