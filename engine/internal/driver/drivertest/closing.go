package drivertest

import (
	"errors"
	"io"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

var closeCases = []testCase{
	{name: "the peer half-closes and reads the reply", run: func(h *host) {
		c, p := h.pair(driver.Read)
		h.noErr(p.Send([]byte("question")))
		h.noErr(p.CloseWrite())
		h.until("FIN", func() bool { return c.readClosed > 0 })
		h.check(string(c.got) == "question", "got %q before the FIN", c.got)
		n := c.readClosed
		h.until("FIN again: it is level-triggered", func() bool { return c.readClosed > n })
		c.set(0)
		h.quiet("no interest")
		_, err := h.sockets.Write(c.fd, []byte("answer"))
		h.noErr(err)
		c.close(false)
		b, err := recvRest(p)
		h.check(string(b) == "answer" && err == nil, "received %q, %v", b, err)
	}},
	{name: "we half-close and read on", run: func(h *host) {
		c, p := h.pair(driver.Read)
		_, err := h.sockets.Write(c.fd, []byte("that was all"))
		h.noErr(err)
		h.noErr(h.sockets.CloseWrite(c.fd))
		b, err := recvRest(p)
		h.check(string(b) == "that was all" && err == nil, "received %q, %v", b, err)
		n, err := h.sockets.Write(c.fd, []byte("more"))
		h.check(errors.Is(err, syscall.EPIPE), "Write after CloseWrite: %d, %v", n, err)
		h.noErr(p.Send([]byte("thanks")))
		h.until("bytes", func() bool { return string(c.got) == "thanks" })
		h.noErr(p.Close())
		h.until("FIN", func() bool { return c.ended() > 0 })
		h.check(c.readClosed > 0, "%v", c.failed)
	}},
	{name: "a FIN behind a pause", run: func(h *host) {
		c, p := h.pair(0)
		h.noErr(p.Send([]byte("abc")))
		h.noErr(p.CloseWrite())
		h.quiet("no interest")
		c.set(driver.Read)
		h.until("FIN", func() bool { return c.readClosed > 0 })
		h.check(string(c.got) == "abc", "got %q", c.got)
	}},
	{name: "an unregistered connection lives on, and is nothing to the poller", run: func(h *host) {
		c, p := h.pair(driver.Read | driver.Write)
		fd := c.fd
		h.poller.Unregister(fd, c.interest)
		c.fd = -1
		delete(h.conns, c.t)
		h.noErr(p.Send([]byte("to the new owner")))
		h.quiet("unregistered")
		nc, err := h.b.NetConn(fd)
		if !h.kernel {
			h.check(err != nil, "the simulator made a net.Conn")
			return
		}
		h.noErr(err)
		h.quiet("unregistered")
		b := make([]byte, 16)
		_, err = io.ReadFull(nc, b)
		h.check(string(b) == "to the new owner" && err == nil, "read %q, %v", b, err)
		h.noErr(nc.Close())
		_, err = recvRest(p)
		h.noErr(err)
	}},
	{name: "at most a Writable without interest", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read)
		c.set(0)
		h.noErr(p.Reset())
		h.toldOnce(c)
		c.set(driver.Read)
		h.until("the reset", func() bool { return c.ended() > 0 })
		h.check(len(c.failed) > 0 && isReset(c.failed[0]), "errors %v, %d times ReadClosed", c.failed, c.readClosed)
	}},
	{name: "registered without interest", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(0) // registered that way by add
		h.noErr(p.Reset())
		h.toldOnce(c)
		c.set(driver.Write)
		h.until("Writable or Failed", func() bool { return c.writable+c.ended() > 0 })
	}},
	{name: "the peer resets", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read)
		h.noErr(p.Reset())
		h.until("the reset", func() bool { return c.ended() > 0 })
		h.check(len(c.failed) == 1 && isReset(c.failed[0]), "errors %v, %d times ReadClosed", c.failed, c.readClosed)
		h.poll(0)
		h.check(len(c.failed) == 1, "the error was reported %d times", len(c.failed))
		n, err := h.sockets.Write(c.fd, []byte("too late"))
		h.check(isReset(err), "Write: %d, %v", n, err)
	}},
	{name: "the peer resets a writer", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(0)
		fillForGood(h, c)
		h.noErr(p.Reset())
		h.until("Writable or Failed", func() bool { return c.writable+len(c.failed) > 0 })
		if len(c.failed) > 0 {
			h.check(isReset(c.failed[0]), "%v", c.failed)
			return
		}
		n, err := h.sockets.Write(c.fd, []byte("too late"))
		h.check(isReset(err), "Write: %d, %v", n, err)
	}},
	{name: "close delivers what was written", run: func(h *host) {
		c, p := h.pair(driver.Read)
		sent := fill(h, c)
		c.close(false)
		b, err := recvRest(p)
		h.check(len(b) == len(sent) && err == nil, "%d of %d bytes, %v", len(b), len(sent), err)
	}},
	{name: "close with reset", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read)
		c.close(true)
		_, err := recvRest(p)
		h.check(isReset(err), "%v", err)
	}},
	{name: "close with unread bytes resets", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(0)
		h.noErr(p.Send([]byte("never read")))
		// The bytes must have arrived before the close.
		c.skip = true
		c.set(driver.Read)
		h.check(h.poll(patience) > 0, "no event")
		c.close(false)
		_, err := recvRest(p)
		h.check(isReset(err), "%v", err)
	}},
	{name: "write to a peer that closed", tcpOnly: true, run: func(h *host) {
		c, p := h.pair(driver.Read)
		h.noErr(p.Close())
		h.until("FIN", func() bool { return c.readClosed > 0 })
		c.set(driver.Write)
		var err error
		h.until("error", func() bool {
			if err == nil {
				_, err = h.sockets.Write(c.fd, []byte("anybody there?"))
			}
			return err != nil || len(c.failed) > 0
		})
		h.check(len(c.failed) > 0 || isReset(err), "%v", err)
	}},
}

// toldOnce checks that a connection without interest is told of its reset by one Writable at most,
// so that a loop does not spin.
func (h *host) toldOnce(c *conn) {
	for range 20 {
		h.poll(time.Millisecond)
	}
	h.check(c.writable <= 1 && c.ended() == 0, "%d times Writable, ended %d times", c.writable, c.ended())
}
