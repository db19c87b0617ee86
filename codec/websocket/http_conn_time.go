package websocket

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/sendqueue"
)

// httpTimes are the deadlines of an httpConn while it has a request. They count from the peer's
// last progress: so they end neither a long upload nor a long response, nor a request whose Handler
// waits for something. net/http's own would count from the beginning of the request.
type httpTimes struct {
	timeout time.Duration // Server.HTTPTimeout; 0: none

	mu sync.Mutex
	// the Handler has set a deadline of its own, or it is net/http's to set
	read, write bool
	waited      time.Duration // for content, since enough of it came
	since       time.Time     // of the read in progress
	received    int           // since enough came
	// bytes in all, and those that the peer had acknowledged at the last look
	wrote, taken int
}

// begin begins a request, whose head has been read.
func (t *httpTimes) begin() {
	t.mu.Lock()
	t.read, t.write, t.waited, t.received = false, false, 0, 0
	t.mu.Unlock()
}

// SetDeadline implements net.Conn.
func (c *httpConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. During a request a Handler calls it, or net/http when all of
// the content has been read.
func (c *httpConn) SetReadDeadline(t time.Time) error {
	c.times.mu.Lock()
	defer c.times.mu.Unlock()
	c.times.read = true
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn. During a request only a Handler calls it.
func (c *httpConn) SetWriteDeadline(t time.Time) error {
	c.times.mu.Lock()
	defer c.times.mu.Unlock()
	c.times.write = true
	return c.Conn.SetWriteDeadline(t)
}

// beforeRead sets the deadline for the content of a request. Only the time that is spent waiting
// for the peer counts, and enough content begins it anew.
func (c *httpConn) beforeRead() {
	t := &c.times
	if t.timeout == 0 || !c.busy.Load() || c.framing.Between() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.read {
		t.since = time.Now()
		c.Conn.SetReadDeadline(t.since.Add(t.timeout - t.waited))
	}
}

// got counts what has been received.
func (t *httpTimes) got(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.since.IsZero() {
		t.waited += time.Since(t.since)
		t.since = time.Time{}
	}
	if t.received += n; t.received >= minProgress {
		t.waited, t.received = 0, 0
	}
}

// Write implements net.Conn. It fails if the peer takes less than minProgress within the timeout.
// It lets others run before: see check. The kernel may take megabytes from each of hundreds.
func (c *httpConn) Write(p []byte) (n int, err error) {
	runtime.Gosched()
	t := &c.times
	for {
		if !c.mayTakeLong() {
			m, err := c.Conn.Write(p[n:])
			return n + m, err
		}
		m, err := c.Conn.Write(p[n:])
		n += m
		t.wrote += m
		if !errors.Is(err, os.ErrDeadlineExceeded) || !c.progressed() {
			return n, err
		}
	}
}

// mayTakeLong sets the deadline for a Write. It reports false if the Handler has set one, or has
// hijacked the connection. Outside of a request only net/http writes, and may have reset what the
// Handler had set.
func (c *httpConn) mayTakeLong() bool {
	t := &c.times
	t.mu.Lock()
	defer t.mu.Unlock()
	if c.hijacked || t.timeout == 0 || t.write && c.busy.Load() {
		return false
	}
	c.Conn.SetWriteDeadline(time.Now().Add(t.timeout))
	return true
}

// progressed reports whether the peer has acknowledged enough since the last look. The kernel may
// take nothing from us for long while the peer takes what it has.
func (c *httpConn) progressed() bool {
	t := &c.times
	queued, _ := sendqueue.Len(c.Conn) // unknown: only what the kernel takes counts
	taken := t.wrote - queued
	if taken < t.taken+minProgress {
		return false
	}
	t.taken = taken
	return true
}
