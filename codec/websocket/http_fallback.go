package websocket

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket/internal/nethttp"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/quota"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

const (
	// defaultHTTPTimeout is that of Server.HTTPTimeout.
	defaultHTTPTimeout = 2 * time.Minute

	// httpGrace is the time for requests in progress when the engine shuts down. It is less than
	// engine.Config.ShutdownTimeout.
	httpGrace = 2 * time.Second
)

// web is the part of a Server that serves its Handler. It does not refer to net/http's server,
// which is linked only into programs that call Accept.
type web struct {
	once      sync.Once
	giveAway  func(*Conn) error
	open      quota.Limiter // of connections that are open
	requests  quota.Limiter // of requests of HTTP/2 in progress
	mu        sync.Mutex
	fallbacks map[*engine.Engine]any // *fallback
}

// fallback serves the Handler on the connections that one engine has released. It lives from the
// first of them until the engine ends, and has no goroutine of its own.
type fallback struct {
	server *Server
	engine *engine.Engine
	http   http.Server
	http2  http.Server     // for connections of http2Conn
	turns  http2Turns      // of these
	log    http2Log        // of these
	ctx    context.Context // of all requests
	cancel context.CancelFunc
}

// fallback returns that of an engine, or an error if the engine is ending.
func (s *Server) fallback(e *engine.Engine) (*fallback, error) {
	s.web.mu.Lock()
	defer s.web.mu.Unlock()
	if f, ok := s.web.fallbacks[e].(*fallback); ok {
		return f, nil
	}
	f := &fallback{server: s, engine: e}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	idle := s.services[0].receive.IdleTimeout
	if idle < 0 {
		idle = s.httpTimeout()
	}
	f.http = http.Server{
		Handler:                      f,
		DisableGeneralOptionsHandler: true, // a target * is ours, see httpConn
		Protocols:                    new(http.Protocols),
		MaxHeaderBytes:               bound(s.services[0].head.MaxHeader),
		ReadHeaderTimeout:            s.httpTimeout(), // for the rest see httpTimes
		IdleTimeout:                  idle,
		BaseContext:                  func(net.Listener) context.Context { return f.ctx },
		ConnContext:                  withConn,
		ConnState:                    func(c net.Conn, state http.ConnState) { c.(webConn).turned(state) },
	}
	f.http.Protocols.SetHTTP1(true)
	f.setHTTP2()
	// What comes before OnShutdown is seen by shutdown, which runs on another goroutine.
	if err := e.OnShutdown(f.shutdown); err != nil {
		f.cancel()
		return nil, errEnded
	}
	if s.web.fallbacks == nil {
		s.web.fallbacks = make(map[*engine.Engine]any)
	}
	s.web.fallbacks[e] = f
	return f, nil
}

// httpTimeout returns HTTPTimeout; 0: none.
func (s *Server) httpTimeout() time.Duration { return max(or(s.HTTPTimeout, defaultHTTPTimeout), 0) }

// shutdown lets requests in progress end.
func (f *fallback) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, httpGrace)
	defer cancel()
	var both sync.WaitGroup
	for _, s := range [...]*http.Server{&f.http, &f.http2} {
		both.Go(func() {
			if s.Shutdown(ctx) != nil {
				f.cancel()
				s.Close()
			}
		})
	}
	both.Wait()
	f.cancel()
	f.server.web.mu.Lock()
	delete(f.server.web.fallbacks, f.engine)
	f.server.web.mu.Unlock()
}

// giveAway hands the connection to net/http when Feed has returned, with the request that Feed
// leaves unconsumed.
func (c *Conn) giveAway() error {
	s := c.service.server
	f, err := s.fallback(c.conn.Engine())
	if err != nil {
		return err
	}
	client := quota.Prefix(c.RemoteAddr().Addr())
	count, err := s.web.open.Acquire(client)
	if err != nil {
		return errManyHTTP
	}
	place, state, http2 := c.conn.KeepPlace(), c.tlsState(), c.isHTTP2()
	// Nothing was written, so nothing is unsent.
	err = c.conn.Release(func(nc net.Conn, unread, _ []byte, err error) {
		if err != nil { // no descriptor is left: the connection is closed
			s.web.open.Release(count)
			place.Leave()
			return
		}
		// Serve returns at once: the error is that there is no second connection.
		if http2 {
			f.http2.Serve(&single{c: newHTTP2Conn(nc, state, client, f.turns, func() {
				s.web.open.Release(count)
				place.Leave()
			})})
			return
		}
		hc := newHTTPConn(f, nc, unread, count)
		hc.tls = state
		hc.place.Store(place)
		f.http.Serve(&single{c: hc})
	})
	if err != nil {
		s.web.open.Release(count)
		place.Leave()
	}
	return err
}

// single is a listener with one connection, for http.Server.Serve. Another goroutine may close it
// meanwhile, in http.Server.Shutdown.
type single struct {
	c     webConn
	taken atomic.Bool // by Accept or by Close
}

// webConn is a connection of net/http: an *httpConn or an *http2Conn.
type webConn interface {
	net.Conn
	turned(http.ConnState)
	socket() net.Conn
}

func (l *single) Addr() net.Addr { return nil }

func (l *single) Accept() (net.Conn, error) {
	if l.taken.Swap(true) {
		return nil, io.EOF
	}
	return l.c, nil
}

// Close ends a connection that was not accepted, because the engine shuts down.
func (l *single) Close() error {
	if l.taken.Swap(true) {
		return nil
	}
	l.c.turned(http.StateClosed)
	return l.c.socket().Close()
}

var errBehindHandshake = &handshake.Error{Status: 400, Section: "RFC 9112 section 11.2",
	Text: "a request behind an opening handshake"}

// ServeHTTP implements http.Handler, in front of the Server's.
func (f *fallback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(connKey{}).(*httpConn)
	r.TLS = c.tls
	if c.last { // before anything else: nobody has checked this request
		nethttp.Refuse(w, errBehindHandshake)
		return
	}
	raw, err := f.server.asked(r)
	if raw != nil || err != nil {
		// Behind a handshake, whatever its method and target, handshake.Framing lets everything
		// through. The Handler may undo the header.
		c.last = true
		w.Header().Set("Connection", "close")
	}
	m := f.server.mux
	switch {
	case r.RequestURI == badTarget && r.Method == http.MethodOptions: // as net/http answers it
		w.Header().Set("Content-Length", "0")
	case r.RequestURI == badTarget:
		nethttp.Refuse(w, c.violation)
	case err != nil || raw != nil && (m == nil || m.server(raw.Path) != nil):
		w.Header().Del("Connection")
		f.server.Upgrade(f.engine, w, r) // which has answered in any case
	default:
		if err := (&handshake.Request{Host: []byte(r.Host)}).CheckHost(f.server.Hosts); err != nil {
			nethttp.Refuse(w, err)
			return
		}
		f.server.Handler.ServeHTTP(w, r)
	}
}

// connKey is the key of a request's httpConn or http2Conn in its context.
type connKey struct{}

func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// dismissed is the Protocol of a connection that is only closed in order. It counts for MaxHTTP
// until then.
type dismissed struct{ httpConn *httpConn }

func (dismissed) Feed(src []byte) (int, error) { return len(src), nil }
func (d dismissed) Closed(error)               { d.httpConn.leave() }
