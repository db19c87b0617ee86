package drivertest

import (
	"bytes"
	"errors"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

var readCases = []testCase{
	{name: "read", run: func(h *host) {
		c, p := h.pair(driver.Read)
		h.quiet("nothing sent")
		h.noErr(p.Send([]byte("hello")))
		h.until("bytes", func() bool { return string(c.got) == "hello" })
		h.check(!c.more, "more is set, the buffer was not filled")
		h.quiet("everything read")
		h.check(c.ended() == 0 && c.writable == 0, "%+v", c)
	}},
	{name: "unread bytes are reported again", run: func(h *host) {
		c, p := h.pair(0)
		c.buf = c.buf[:3]
		h.noErr(p.Send([]byte("0123456789")))
		c.set(driver.Read)
		for n := 1; n <= 4; n++ {
			h.until("bytes", func() bool { return c.reads >= n })
			h.check(c.reads == n, "%d reads in a Poll after Received said to stop", c.reads)
			h.check(c.more == (n < 4), "read %d: more is %v", n, c.more)
		}
		h.check(string(c.got) == "0123456789", "got %q", c.got)
		h.quiet("everything read")
	}},
	{name: "a read that Reading declines is offered again", run: func(h *host) {
		c, p := h.pair(driver.Read)
		c.skip = true
		h.noErr(p.Send([]byte("later")))
		for range 3 {
			h.check(h.poll(patience) > 0, "no event")
		}
		h.check(c.reads == 0, "read although Reading declined")
		c.skip = false
		h.until("bytes", func() bool { return string(c.got) == "later" })
	}},
	{name: "read on in the same Poll", run: func(h *host) {
		c, p := h.pair(0)
		c.buf = c.buf[:1]
		h.noErr(p.Send([]byte("0123456789")))
		h.onReceived = func(c *conn) bool { return c.more }
		c.set(driver.Read)
		h.until("bytes", func() bool { return c.reads > 0 })
		h.check(string(c.got) == "0123456789", "got %q", c.got)
	}},
	{name: "reading paused", run: func(h *host) {
		c, p := h.pair(driver.Read)
		c.set(0)
		h.noErr(p.Send([]byte("abc")))
		h.quiet("paused")
		c.set(driver.Read)
		h.until("bytes", func() bool { return string(c.got) == "abc" })
	}},
	{name: "paused in the middle of a batch", run: func(h *host) {
		var conns []*conn
		for range 8 {
			c, p := h.pair(0)
			conns = append(conns, c)
			h.noErr(p.Send([]byte("abc")))
		}
		for _, c := range conns {
			c.set(driver.Read)
		}
		first := true
		h.onReceived = func(c *conn) bool {
			if first {
				for _, o := range conns {
					if o != c {
						o.set(0)
					}
				}
			}
			first = false
			return false
		}
		h.until("bytes", func() bool { return !first })
		h.quiet("paused")
		for _, c := range conns {
			c.set(driver.Read)
		}
		h.until("all bytes", func() bool {
			for _, c := range conns {
				if string(c.got) != "abc" {
					return false
				}
			}
			return true
		})
	}},
}

var writeCases = []testCase{
	{name: "write", run: func(h *host) {
		c, p := h.pair(driver.Read)
		n, err := h.sockets.Write(c.fd, []byte("hello"))
		h.check(n == 5 && err == nil, "Write: %d, %v", n, err)
		b, err := recvAll(p, 5)
		h.check(string(b) == "hello" && err == nil, "received %q, %v", b, err)
	}},
	{name: "Writable is level-triggered", run: func(h *host) {
		c, _ := h.pair(driver.Read)
		h.quiet("no write interest")
		c.set(driver.Read | driver.Write)
		for n := 1; n <= 3; n++ {
			h.until("Writable", func() bool { return c.writable >= n })
		}
		c.set(driver.Read)
		h.quiet("no write interest")
	}},
	{name: "full buffers, then Writable", run: func(h *host) {
		c, p := h.pair(0)
		sent := fillForGood(h, c)
		var got []byte
		for c.writable == 0 && len(got) < len(sent) {
			b := make([]byte, 32<<10)
			n, err := p.Recv(b)
			h.noErr(err)
			got = append(got, b[:n]...)
			h.poll(0)
		}
		h.until("Writable", func() bool { return c.writable > 0 })
		n, err := h.sockets.Write(c.fd, []byte("the end"))
		h.check(n > 0 && err == nil, "Write: %d, %v", n, err)
		sent = append(sent, "the end"[:n]...)
		b, err := recvAll(p, len(sent)-len(got))
		h.noErr(err)
		h.check(bytes.Equal(append(got, b...), sent), "what arrived is not what was written")
	}},
	{name: "writev", run: func(h *host) {
		c, p := h.pair(driver.Read)
		n, err := h.sockets.Writev(c.fd, [][]byte{nil, []byte("one "), {}, []byte("two "), []byte("three"), nil})
		h.check(n == 13 && err == nil, "Writev: %d, %v", n, err)
		b, err := recvAll(p, 13)
		h.check(string(b) == "one two three" && err == nil, "received %q, %v", b, err)
		n, err = h.sockets.Writev(c.fd, [][]byte{nil, {}})
		h.check(n == 0 && err == nil, "Writev of nothing: %d, %v", n, err)
	}},
	{name: "writev of many", run: func(h *host) {
		c, p := h.pair(driver.Read)
		var bufs [][]byte
		var want []byte
		for i := range 3 * driver.MaxIovecs {
			b := bytes.Repeat([]byte{byte(i)}, i%3) // every third one is empty
			bufs, want = append(bufs, b), append(want, b...)
		}
		for at := 0; at < len(want); {
			n, err := h.sockets.Writev(c.fd, skip(bufs, at))
			h.check(n > 0 && err == nil, "Writev: %d, %v", n, err)
			at += n
		}
		got, err := recvAll(p, len(want))
		h.noErr(err)
		h.check(bytes.Equal(got, want), "what arrived is not what was written")
	}},
	{name: "writev partial", run: func(h *host) {
		c, p := h.pair(driver.Write)
		h.noErr(h.sockets.SetOption(c.fd, driver.SendBuffer, 16<<10))
		want := make([]byte, 1<<20)
		for i := range want {
			want[i] = byte(i >> 3)
		}
		bufs := [][]byte{want[:1], want[1:1000], want[1000 : 300<<10], want[300<<10 : 300<<10+1], want[300<<10+1:]}
		at, short := 0, false
		var got []byte
		b := make([]byte, 256<<10)
		for len(got) < len(want) {
			if at < len(want) {
				n, err := h.sockets.Writev(c.fd, skip(bufs, at))
				if err != nil {
					h.check(n <= 0 && errors.Is(err, syscall.EAGAIN), "Writev: %d, %v", n, err)
					n = 0
				}
				short = short || n < len(want)-at
				at += n
			}
			if len(got) == at { // the buffer may stay full until the peer's kernel acknowledges
				n := c.writable
				h.until("Writable", func() bool { return c.writable > n })
				continue
			}
			n, err := p.Recv(b)
			h.noErr(err)
			got = append(got, b[:n]...)
		}
		h.check(short, "1 MiB was taken at once: nothing was tested")
		h.check(bytes.Equal(got, want), "what arrived is not what was written")
	}},
	{name: "echo in both directions at once", run: func(h *host) {
		c, p := h.pair(driver.Read)
		var sent, got []byte
		done := 0 // of c.got
		for i := range 200 {
			b := bytes.Repeat([]byte{byte(i)}, 1+i*7%1500)
			h.noErr(p.Send(b))
			sent = append(sent, b...)
			h.until("bytes", func() bool { return len(c.got) == len(sent) })
			n, err := h.sockets.Write(c.fd, c.got[done:])
			h.noErr(err)
			done += n
			b, err = recvAll(p, done-len(got))
			h.noErr(err)
			got = append(got, b...)
		}
		h.check(bytes.Equal(got, sent), "what came back is not what was sent")
	}},
}

// fill writes until the kernel takes no more.
func fill(h *host, c *conn) (sent []byte) {
	h.t.Helper()
	b := make([]byte, 32<<10)
	for {
		for i := range b {
			b[i] = byte(len(sent) + i)
		}
		n, err := h.sockets.Write(c.fd, b)
		if errors.Is(err, syscall.EAGAIN) {
			h.check(n <= 0, "Write: %d and EAGAIN", n)
			return sent
		}
		h.check(n > 0 && n <= len(b) && err == nil, "Write: %d, %v", n, err)
		sent = append(sent, b[:n]...)
	}
}

// fillForGood fills the buffers of c until no write event comes: the peer's kernel can enlarge its
// buffer some time after they were full. Write interest of c is set.
func fillForGood(h *host, c *conn) (sent []byte) {
	h.t.Helper()
	c.set(driver.Write)
	for end := time.Now().Add(patience); h.poll(10*time.Millisecond) > 0; {
		more := fill(h, c)
		h.check(len(more) > 0, "Writable although the buffers are full")
		h.check(time.Now().Before(end), "the buffers are never full")
		sent = append(sent, more...)
	}
	c.writable = 0
	return sent
}

// skip returns bufs without the first n bytes.
func skip(bufs [][]byte, n int) (rest [][]byte) {
	for _, b := range bufs {
		k := min(n, len(b))
		n -= k
		rest = append(rest, b[k:])
	}
	return rest
}
