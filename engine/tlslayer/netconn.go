package tlslayer

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// netConn is a connection that was released from its loop, for goroutines. Like a tls.Conn it may
// be read by one and written by another.
type netConn struct {
	net.Conn // the socket

	mu     sync.Mutex // for stream
	stream layer.Stream

	reading sync.Mutex
	opened  bool   // what the loop has left was opened
	buf     []byte // buf[:have] has what was received, buf[from:to] of it is opened
	have    int
	from    int
	to      int
	err     error

	writing sync.Mutex
	out     []byte // sealed; before the first Write what the loop has left
}

// closeTimeout is how long Close may take to send its alert, as in crypto/tls.
const closeTimeout = 5 * time.Second

// writePiece is how much is sealed at a time.
const writePiece = 64 << 10

// NetConn implements layer.Stream.
func (r *records) NetConn(nc net.Conn, in, out []byte) net.Conn {
	r.loop.forget(&r.read)
	r.loop.forget(&r.write)
	r.loop = newLoop(2, 2)
	return newNetConn(nc, r, in, out)
}

// NetConn implements layer.Stream.
func (s *standard) NetConn(nc net.Conn, in, out []byte) net.Conn { return newNetConn(nc, s, in, out) }

func newNetConn(nc net.Conn, s layer.Stream, in, out []byte) *netConn {
	return &netConn{Conn: nc, stream: s, buf: in, have: len(in), out: out}
}

// ConnectionState returns what that of a tls.Conn returns, without certificates.
func (c *netConn) ConnectionState() tls.ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stream.State().(tls.ConnectionState)
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

// open reads once, and opens what has come. All that was opened before is read.
func (c *netConn) open() {
	if !c.opened { // and perhaps nothing follows
		c.opened = true
		c.openAll(c.have)
		return
	}
	rest := copy(c.buf, c.buf[c.to:c.have])
	c.from, c.to, c.have = 0, 0, rest
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
	c.openAll(rest + n)
}

// openAll opens the records in the first n bytes.
func (c *netConn) openAll(n int) {
	c.mu.Lock()
	c.from, c.to, c.have, c.err = c.stream.Open(c.buf[:n], 0)
	c.mu.Unlock()
	if c.err != nil && c.err != io.EOF {
		c.end() // with the alert
	}
}

// Write implements net.Conn.
func (c *netConn) Write(b []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	for n < len(b) && err == nil {
		k := min(len(b)-n, writePiece)
		c.mu.Lock()
		before := len(c.out)
		c.out = c.stream.Seal(c.out, b[n:n+k])
		c.mu.Unlock()
		if len(c.out) == before {
			return n, net.ErrClosed
		}
		_, err = c.Conn.Write(c.out)
		c.out = c.out[:0]
		if err == nil {
			n += k
		}
	}
	if err != nil { // nobody knows what was sent: nothing can follow
		c.mu.Lock()
		c.stream.SealEnd(nil)
		c.mu.Unlock()
	}
	return n, err
}

// end sends the last record, unless a Write is in progress.
func (c *netConn) end() error {
	if !c.writing.TryLock() {
		return nil
	}
	defer c.writing.Unlock()
	c.mu.Lock()
	c.out = c.stream.SealEnd(c.out)
	c.mu.Unlock()
	if len(c.out) == 0 {
		return nil
	}
	c.Conn.SetWriteDeadline(time.Now().Add(closeTimeout))
	_, err := c.Conn.Write(c.out)
	c.out = nil
	return err
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
	return c.Conn.Close()
}
