package websocket

import (
	"context"
	"crypto/tls"
	"log"
	"net"
	"net/http"
	"net/netip"
	"runtime"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// http2Conn is a connection of net/http whose client has agreed on HTTP/2 in the handshake of TLS.
// net/http serves it as one that is not encrypted, because that takes any net.Conn. So http2Conn
// must not have the method ConnectionState, and the requests get TLS from it instead.
type http2Conn struct {
	net.Conn
	tls    *tls.ConnectionState
	client netip.Prefix // who counts for requests
	left   func()       // it is no longer counted
	heads  http2Heads
	turn   http2Turn
}

func newHTTP2Conn(nc net.Conn, state *tls.ConnectionState, client netip.Prefix, turns http2Turns,
	left func()) *http2Conn {
	return &http2Conn{Conn: nc, tls: state, client: client, left: left, heads: newHTTP2Heads(),
		turn: http2Turn{turns: turns}}
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

const (
	// http2Streams is how many requests a connection may have at a time. Each has a goroutine.
	http2Streams = 100
	// http2Requests is how many requests all may have, for each connection that there may be. One
	// takes 12 to 50 KiB, and a client that takes no response keeps it for HTTPTimeout.
	http2Requests = 4
)

// setHTTP2Quota sets the limit of requests, from that of connections. One connection may have all
// of its own in any case.
func setHTTP2Quota(requests, open *quota.Limiter) {
	if open.Max > 0 {
		requests.Max = http2Requests * min(max(open.Max, http2Streams), 1<<24)
		requests.Fair = open.Fair
	}
	if open.MaxPerClient > 0 {
		requests.MaxPerClient = max(http2Requests*min(open.MaxPerClient, 1<<24), http2Streams)
	}
}

// setHTTP2 prepares the server of http2Conns. It has nothing but HTTP/2, with which the client must
// begin.
func (f *fallback) setHTTP2() {
	timeout := f.server.httpTimeout()
	f.turns = http2Turns{make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), longestTurn}
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
		ErrorLog:          log.New(&f.log, "", 0),
	}
	f.http2.Protocols.SetUnencryptedHTTP2(true)
}

// serveHTTP2 is ServeHTTP for HTTP/2, which has no opening handshakes.
func (f *fallback) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*http2Conn)
	count, err := f.server.web.requests.Acquire(c.client)
	if err != nil {
		c.Close() // a response would take as much, if the client does not take it
		return
	}
	defer f.server.web.requests.Release(count)
	r.TLS = c.tls
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
