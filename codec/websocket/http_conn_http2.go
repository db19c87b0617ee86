package websocket

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// http2Conn is a connection of net/http whose client has agreed on HTTP/2 in the handshake of TLS.
// net/http serves it as one that is not encrypted, because that takes any net.Conn. So http2Conn
// must not have the method ConnectionState, and the requests get TLS from it instead.
type http2Conn struct {
	net.Conn
	tls   *tls.ConnectionState
	left  func() // it is no longer counted
	heads http2Heads
	turn  http2Turn
}

func newHTTP2Conn(nc net.Conn, state *tls.ConnectionState, turns chan struct{}, left func()) *http2Conn {
	return &http2Conn{Conn: nc, tls: state, left: left, heads: newHTTP2Heads(), turn: http2Turn{turns: turns}}
}

// Read implements net.Conn. It lets others run before: see httpConn.check. When a large head is
// whole, it waits for a turn, which ends with the next Read.
func (c *http2Conn) Read(p []byte) (n int, err error) {
	c.turn.leave()
	runtime.Gosched()
	n, err = c.Conn.Read(p)
	if c.heads.ends(p[:n]) {
		c.turn.take()
	}
	return n, err
}

// Close implements net.Conn. No Read may follow.
func (c *http2Conn) Close() error {
	c.turn.close()
	return c.Conn.Close()
}

// Write implements net.Conn. It lets others run before: see httpConn.Write.
func (c *http2Conn) Write(p []byte) (int, error) {
	runtime.Gosched()
	return c.Conn.Write(p)
}

// socket implements webConn.
func (c *http2Conn) socket() net.Conn { return c.Conn }

// turned implements webConn. Nobody can hijack the connection.
func (c *http2Conn) turned(state http.ConnState) {
	if state == http.StateClosed {
		c.left()
	}
}

// http2Streams is how many requests a client may have at a time. Each has a goroutine.
const http2Streams = 100

// setHTTP2 prepares the server of http2Conns. It has nothing but HTTP/2, with which the client must
// begin.
func (f *fallback) setHTTP2() {
	timeout := f.server.httpTimeout()
	f.turns = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))
	f.http2 = http.Server{
		Handler:           http.HandlerFunc(f.serveHTTP2),
		Protocols:         new(http.Protocols),
		MaxHeaderBytes:    f.http.MaxHeaderBytes,
		ReadHeaderTimeout: timeout, // of the client's preface
		IdleTimeout:       f.http.IdleTimeout,
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: http2Streams, WriteByteTimeout: timeout},
		BaseContext:       func(net.Listener) context.Context { return f.ctx },
		ConnContext:       withConn,
		ConnState:         f.http.ConnState,
	}
	f.http2.Protocols.SetUnencryptedHTTP2(true)
}

// serveHTTP2 is ServeHTTP for HTTP/2, which has no opening handshakes.
func (f *fallback) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	r.TLS = r.Context().Value(connKey{}).(*http2Conn).tls
	if err := (&handshake.Request{Host: []byte(r.Host)}).CheckHost(f.server.Hosts); err != nil {
		nethttp.Refuse(w, err)
		return
	}
	if timeout := f.server.httpTimeout(); timeout > 0 {
		tw := &http2Writer{ResponseWriter: w, timeout: timeout}
		defer tw.finish()
		w = tw
	}
	f.server.Handler.ServeHTTP(w, r)
}
