package tlslayer

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/layer"
)

// netConn is a connection that was released from its loop, for goroutines. Like a tls.Conn it may
// be read by one and written by another. A loop can take it over: see Return.
type netConn struct {
	net.Conn // the socket
	state    *tls.ConnectionState
	place    atomic.Pointer[engine.Place] // in the counts of a listener; nil: none

	mu     sync.Mutex   // for stream and ended
	stream layer.Stream // nil: a loop has it
	ended  bool         // nothing can be sent any more

	reading sync.Mutex
	buf     []byte // buf[:have] has what was received, buf[from:to] of it is opened
	have    int
	from    int
	to      int
	fresh   bool // Open is due before a read: buf may have whole records, or the Stream its end
	err     error

	writing sync.Mutex
	out     []byte // sealed; before the first Write what the loop has left
}

// closeTimeout is how long Close may take to send its alert, as in crypto/tls.
const closeTimeout = 5 * time.Second

// writePiece is how much is sealed at a time.
const writePiece = 64 << 10

var errInUse = errors.New("tlslayer: a Read or Write is in progress")

// NetConn implements layer.Stream.
func (r *records) NetConn(nc net.Conn, in, out []byte) layer.Released {
	r.Detach()
	return newNetConn(nc, r, in, out)
}

// Detach implements layer.Stream.
func (r *records) Detach() { r.move(newLoop(2, 2)) }

// Attach implements layer.Stream.
func (r *records) Attach(shared *any) { r.move(loopOf(shared)) }

// move makes r a connection of another loop.
func (r *records) move(to *loop) {
	r.loop.forget(&r.read)
	r.loop.forget(&r.write)
	r.loop = to
}

// NetConn implements layer.Stream.
func (s *standard) NetConn(nc net.Conn, in, out []byte) layer.Released {
	return newNetConn(nc, s, in, out)
}

func newNetConn(nc net.Conn, s layer.Stream, in, out []byte) *netConn {
	state, _ := stateOf(s.State())
	return &netConn{Conn: nc, state: state, stream: s, buf: in, have: len(in), fresh: true, out: out}
}

// ConnectionState returns what that of a tls.Conn returns. It has certificates only if the
// connection was released in its accept function.
func (c *netConn) ConnectionState() tls.ConnectionState { return *c.state }

// NetConn implements layer.Released.
func (c *netConn) NetConn() net.Conn { return c.Conn }

// KeptPlace returns the place that goes with the connection if a loop takes it over: see
// engine.AdoptConfig.Place.
func (c *netConn) KeptPlace() *engine.Place { return c.place.Load() }

// Return implements layer.Released. It does not wait for a Read or Write, which may wait for the
// peer.
func (c *netConn) Return(adopt func(layer.Kept) error) error {
	if !c.reading.TryLock() {
		return errInUse
	}
	defer c.reading.Unlock()
	if !c.writing.TryLock() {
		return errInUse
	}
	defer c.writing.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.stream == nil || c.ended:
		return net.ErrClosed
	case c.err != nil && c.err != io.EOF:
		return c.err
	}
	kept := layer.Kept{Stream: c.stream, In: c.buf[c.from:c.have], Plain: c.to - c.from, Out: c.out}
	if err := adopt(kept); err != nil {
		return err
	}
	c.stream, c.err, c.ended = nil, net.ErrClosed, true
	c.buf, c.from, c.to, c.have, c.out = nil, 0, 0, 0, nil
	c.place.Store(nil)
	return nil
}

// Read implements net.Conn.
func (c *netConn) Read(b []byte) (int, error) {
	c.reading.Lock()
	defer c.reading.Unlock()
	for c.from == c.to && c.err == nil && len(b) > 0 {
		c.open()
	}
	n := copy(b, c.buf[c.from:c.to])
	if c.from += n; n > 0 || len(b) == 0 {
		return n, nil
	}
	err := c.err
	if e, ok := err.(net.Error); ok && e.Timeout() {
		c.err = nil // it may be read again after another SetDeadline
	}
	return 0, err
}

// open reads once, and opens what has come. All that was opened before is read. What the loop has
// left comes first.
func (c *netConn) open() {
	rest := copy(c.buf, c.buf[c.to:c.have])
	c.from, c.to, c.have = 0, 0, rest
	if c.fresh {
		c.openFirst(rest)
		return
	}
	if len(c.buf) < headerLen+maxRecord12 {
		c.buf = append(c.buf[:rest], make([]byte, headerLen+maxRecord12-rest)...)
	}
	n, err := c.Conn.Read(c.buf[rest:])
	if n == 0 && err != nil {
		if err == io.EOF {
			c.mu.Lock()
			if cut := c.stream.ReadClosed(rest); cut != nil {
				err = cut
			}
			c.mu.Unlock()
		}
		c.err = err
		return
	}
	c.openFirst(rest + n)
}

// openFirst opens the records in buf[:n].
func (c *netConn) openFirst(n int) {
	c.mu.Lock()
	c.from, c.to, c.have, c.err = c.stream.Open(c.buf[:n], 0)
	_, c.fresh = c.stream.Work()
	c.mu.Unlock()
	if c.err != nil && c.err != io.EOF {
		c.end() // with the alert
	}
}

// Write implements net.Conn. After a deadline it can go on: n then counts what is sealed as well,
// which the next Write, or Close, sends first.
func (c *netConn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for {
		if err := c.flush(); err != nil || n == len(b) {
			return n, err
		}
		k := min(len(b)-n, writePiece)
		if !c.seal(b[n : n+k]) {
			return n, net.ErrClosed
		}
		n += k
	}
}

// flush sends c.out. c.writing is held.
func (c *netConn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	n, err := c.Conn.Write(c.out)
	c.out = c.out[:copy(c.out, c.out[n:])]
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		c.sealEnd() // nothing can follow
		c.out = nil
	}
	return err
}

// seal appends b to c.out, and reports whether that is possible. c.writing is held.
func (c *netConn) seal(b []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return false
	}
	before := len(c.out)
	c.out = c.stream.Seal(c.out, b)
	return len(c.out) > before
}

// sealEnd appends the last record to c.out. c.writing is held.
func (c *netConn) sealEnd() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.out = c.stream.SealEnd(c.out)
		c.ended = true
	}
}

// end sends the last record, unless a Write is in progress.
func (c *netConn) end() error {
	if !c.writing.TryLock() {
		return nil
	}
	defer c.writing.Unlock()
	c.sealEnd()
	if len(c.out) > 0 {
		c.Conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	}
	return c.flush()
}

// CloseWrite ends our half.
func (c *netConn) CloseWrite() error {
	if err := c.end(); err != nil {
		return err
	}
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close implements net.Conn. It returns the error of the socket.
func (c *netConn) Close() error {
	c.end() // an error means that the peer is gone
	defer c.place.Swap(nil).Leave()
	return c.Conn.Close()
}
