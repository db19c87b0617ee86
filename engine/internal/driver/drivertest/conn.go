package drivertest

import "github.com/myriadnet/myriad/engine/internal/driver"

// conn is a registered connection.
type conn struct {
	h        *host
	t        driver.Token
	fd       int
	interest driver.Interest
	buf      []byte
	skip     bool // Reading returns -1

	got        []byte
	reads      int // calls of Received
	more       bool
	readClosed int
	writable   int
	failed     []error
}

// add registers a descriptor.
func (h *host) add(fd int, i driver.Interest) *conn {
	h.slots++
	c := &conn{h: h, t: driver.MakeToken(h.slots%4, h.slots), fd: fd, interest: i, buf: make([]byte, 64<<10)}
	if err := h.poller.Register(fd, c.t, i); err != nil {
		h.t.Error("Register:", err)
	}
	h.conns[c.t] = c
	h.order = append(h.order, c)
	return c
}

func (c *conn) set(i driver.Interest) {
	c.h.t.Helper()
	if err := c.h.poller.SetInterest(c.fd, c.t, c.interest, i); err != nil {
		c.h.t.Fatal("SetInterest:", err)
	}
	c.interest = i
}

func (c *conn) close(reset bool) {
	if c.fd >= 0 {
		c.h.poller.Close(c.fd, reset)
		c.fd = -1
		delete(c.h.conns, c.t)
	}
}

// ended returns how often the connection was reported to be over for reading.
func (c *conn) ended() int { return c.readClosed + len(c.failed) }

func (h *host) Reading(t driver.Token) (int, []byte) {
	c := h.conns[t]
	if c == nil {
		return -1, nil
	}
	if h.onReading != nil {
		h.onReading(c)
	}
	if c.fd < 0 || c.skip || c.interest&driver.Read == 0 {
		return -1, nil
	}
	return c.fd, c.buf
}

func (h *host) Received(t driver.Token, b []byte, more bool) bool {
	c := h.conns[t]
	if c == nil {
		h.t.Errorf("Received for %#x, which is closed", t)
		return false
	}
	h.check(len(b) > 0 && len(b) <= len(c.buf), "Received %d bytes, the buffer has %d", len(b), len(c.buf))
	c.got = append(c.got, b...)
	c.reads++
	c.more = more
	return h.onReceived != nil && h.onReceived(c)
}

func (h *host) ReadClosed(t driver.Token) {
	if c := h.conns[t]; c != nil {
		c.readClosed++
	}
}

func (h *host) Writable(t driver.Token) {
	if c := h.conns[t]; c != nil {
		c.writable++
		if h.onWritable != nil {
			h.onWritable(c)
		}
	}
}

func (h *host) Failed(t driver.Token, err error) {
	if c := h.conns[t]; c != nil {
		c.failed = append(c.failed, err)
	}
}

func (h *host) Awake() {}

func (h *host) Datagrams(t driver.Token) { h.datagrams++ }

func (h *host) Accepted(t driver.Token, fd int) bool {
	if t != h.lt {
		h.t.Errorf("Accepted for %#x, the listener is %#x", t, h.lt)
	}
	c := h.add(fd, 0)
	return h.onAccepted == nil || h.onAccepted(c)
}

func (h *host) AcceptFailed(t driver.Token, err error) { h.failures = append(h.failures, err) }
