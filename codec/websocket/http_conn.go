package websocket

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// httpConn is a connection of net/http. It gives net/http only what a Framing has let through.
// Instead of a request that breaks a rule, net/http reads badRequest, so that its response comes
// after those to the requests before it. Then net/http reads the end: no byte after the violation.
type httpConn struct {
	net.Conn
	fallback  *fallback
	tls       *tls.ConnectionState // nil: no TLS
	count     *quota.Client        // see web.open
	in        bytes.Buffer         // received and not read by net/http
	ready     int                  // bytes at its beginning that may be read
	framing   handshake.Framing
	violation error // what broke a rule; set before badRequest can be read
	hijacked  bool  // by the Handler: what comes is not HTTP any more
	last      bool  // the Handler has got an opening handshake: no request may follow

	busy    atomic.Bool // with a request
	gone    atomic.Bool // the peer closed its half, or all
	left    atomic.Bool // it is no longer counted as open
	lingers atomic.Bool // a loop closes it, and counts it until then

	place atomic.Pointer[engine.Place] // in the counts of the listener; nil: none, or passed on
	times httpTimes
}

const (
	// badTarget is the target of badRequest. ParseRequest lets it through with OPTIONS only.
	badTarget  = "*"
	badRequest = "GET " + badTarget + " HTTP/1.1\r\nHost: invalid\r\n\r\n"

	httpRead = 4 << 10  // bytes per system call
	httpKept = 16 << 10 // the largest buffer that a connection keeps
)

var (
	emptyLine = []byte("\r\n")
	errUnread = errors.New("websocket: content that the Handler has left unread")
)

// newHTTPConn returns an httpConn on a connection from which unread was received already.
func newHTTPConn(f *fallback, nc net.Conn, unread []byte, count *quota.Client) *httpConn {
	framing := handshake.Framing{Limits: f.server.services[0].head}
	c := &httpConn{Conn: nc, fallback: f, count: count, in: *bytes.NewBuffer(unread), framing: framing}
	c.times.timeout = f.server.httpTimeout()
	return c
}

// Read implements net.Conn. net/http calls it from one goroutine at a time.
func (c *httpConn) Read(p []byte) (n int, err error) {
	if c.isLookAhead(p) {
		if c.in.Len() == 0 {
			err = c.receive()
		}
		return 0, err
	}
	for c.ready == 0 {
		if c.hijacked && c.in.Len() == 0 {
			runtime.Gosched() // see check
			return c.Conn.Read(p)
		}
		if err := c.check(); err != nil {
			return 0, err
		}
	}
	n = copy(p, c.in.Next(min(c.ready, len(p))))
	if c.ready -= n; c.in.Len() == 0 && c.in.Cap() > httpKept {
		c.in = bytes.Buffer{}
	}
	return n, nil
}

// isLookAhead reports whether Read is net/http's read of one byte while a Handler runs, which tells
// it of the peer's end. That byte is refused, and net/http looks no further: the Handler may take
// the connection over, and what has come is not a request then.
func (c *httpConn) isLookAhead(p []byte) bool {
	return len(p) == 1 && c.busy.Load() && !c.hijacked && c.ready == 0 && c.framing.Between()
}

// check finds out what may be read next, and receives more if it needs more for that. It lets
// others run before: with requests that come without end the goroutine would keep its processor
// until the runtime preempts it, after 10 ms, and the loops would wait for hundreds of them to do
// so.
func (c *httpConn) check() (err error) {
	runtime.Gosched()
	switch {
	case c.hijacked:
		c.ready = c.in.Len()
		return nil
	case c.violation != nil:
		return io.EOF
	}
	between := c.framing.Between()
	if c.ready, err = c.framing.Next(c.in.Bytes()); err == nil {
		// net/http does not skip it everywhere
		if between && bytes.HasPrefix(c.in.Bytes()[:c.ready], emptyLine) {
			c.ready -= len(c.in.Next(len(emptyLine)))
		}
		if c.ready == 0 {
			return c.receive()
		}
		return nil
	}
	c.violation = err
	if !c.framing.Between() {
		return err // for the reader of the body
	}
	c.in.Reset()
	c.in.WriteString(badRequest)
	c.ready = len(badRequest)
	return nil
}

func (c *httpConn) receive() error {
	c.beforeRead()
	c.in.Grow(httpRead)
	n, err := c.Conn.Read(c.in.AvailableBuffer()[:httpRead])
	c.in.Write(c.in.AvailableBuffer()[:n])
	c.times.got(n)
	if n > 0 {
		return nil
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.gone.Store(true)
	}
	return err
}

// socket implements webConn.
func (c *httpConn) socket() net.Conn { return c.Conn }

// NetConn returns the socket, below TLS as well, like that of a tls.Conn. Package wsconn uses it on
// a connection that the Handler has hijacked.
func (c *httpConn) NetConn() net.Conn {
	if secure, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return secure.NetConn()
	}
	return c.Conn
}

// turned follows the state that the connection has in net/http.
func (c *httpConn) turned(state http.ConnState) {
	c.busy.Store(state == http.StateActive)
	switch state {
	case http.StateActive:
		c.times.begin()
	case http.StateIdle:
		if !c.framing.Between() {
			// net/http has given up the content, and would take its rest for the next request.
			c.violation = errUnread
		}
	case http.StateHijacked:
		c.hijacked = true
		c.leave()
	case http.StateClosed:
		if !c.lingers.Load() {
			c.place.Swap(nil).Leave()
			c.leave()
		}
	}
}

// leave ends counting for MaxHTTP.
func (c *httpConn) leave() {
	if c.left.CompareAndSwap(false, true) {
		c.fallback.server.web.open.Release(c.count)
	}
}

// Close implements net.Conn. If the peer may still be sending, a loop closes the connection in
// order. To close a socket with unread input would reset it, and destroy the end of the response.
// http.Server.Close may call it while a Handler uses the connection. One with TLS is not adopted
// then, and closed at once.
func (c *httpConn) Close() error {
	place := c.place.Swap(nil)
	if c.busy.Load() && !c.gone.Load() {
		ac := engine.AdoptConfig{Place: place}
		err := ac.Adopt(c.fallback.engine, c.Conn, nil, func(ec *engine.Conn) engine.Protocol {
			ec.Close()
			return dismissed{c}
		})
		if err == nil {
			c.lingers.Store(true)
			return nil
		}
	}
	err := c.Conn.Close()
	place.Leave()
	return err
}
