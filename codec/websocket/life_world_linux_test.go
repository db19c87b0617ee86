package websocket_test

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// newServer returns one with all callbacks.
func (w *world) newServer() *websocket.Server {
	return &websocket.Server{
		Handshake: w.handshake, Open: w.open, Message: w.message, Ping: w.control("Ping"), Pong: w.control("Pong"),
		Drained: w.other("Drained"), Close: w.close, Refused: w.refused,
		CheckOrigin: func(*http.Request) bool {
			w.trip()
			return w.n(20) > 0
		},
		MaxPerAddress: 1000, MaxHandshakesPerAddress: -1, MaxHTTPPerAddress: -1,
		Limits: lifeLimits, Subprotocols: []string{"p", "q"}, HTTPTimeout: lifeTime,
	}
}

const (
	lifeTime        = 300 * time.Millisecond
	lifeConnections = 50
)

var lifeLimits = websocket.Limits{HandshakeTimeout: lifeTime, IdleTimeout: lifeTime, PongTimeout: lifeTime,
	CloseTimeout: lifeTime, ProgressTimeout: lifeTime}

func live(t *testing.T, seed uint64) {
	log.SetOutput(io.Discard) // of net/http, about panics
	defer log.SetOutput(os.Stderr)
	http.DefaultClient.CloseIdleConnections() // of tests before
	goroutines, descriptors, endings := runtime.NumGoroutine(), sockets(t), websocket.Endings()
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 0)), lives: make(map[*websocket.Conn]*life),
		owed: make(map[string]int)}
	w.build(seed)
	ran := make(chan error, 1)
	go func() { ran <- w.eng.Run(t.Context()) }()
	receive(t, "Run", w.eng.Started())
	site := w.listen()
	w.populate(seed)
	if seed%3 == 0 {
		w.rest()
		w.calm.Store(true)
		w.fill()
		w.rest()
	}
	w.eng.Shutdown(t.Context())
	if err := receive(t, "end of Run", ran); err != nil && !errors.Is(err, engine.ErrClosed) &&
		!strings.Contains(err.Error(), "cut") {
		t.Errorf("Run: %v", err)
	}
	site.Close()
	until(t, "end of all goroutines", func() bool { return runtime.NumGoroutine() <= goroutines })
	until(t, "end of all descriptors", func() bool { return sockets(t) <= descriptors })
	if !w.unused() || w.owes() != "" || websocket.Endings() != endings {
		t.Errorf("used %v, owed %q, %d endings", w.uses(), w.owes(), websocket.Endings()-endings)
	}
}

// build makes the engine and all that serves. One seed in four has limits that are reached, and
// every other one a proxy and a Rate.
func (w *world) build(seed uint64) {
	tight := seed%4 == 1
	config := engine.Config{Loops: 2, Linger: lifeTime, HighWater: 64 << 10, Logger: slog.New(slog.DiscardHandler)}
	if tight {
		config.MaxBuffered, config.MaxOutbound, config.TurnMessages = 1<<20, 256<<10, 2
	}
	eng, err := engine.New(config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.eng = eng
	w.server, w.inMux = w.newServer(), [2]*websocket.Server{w.newServer(), w.newServer()}
	w.server.Handler, w.server.Engine = http.HandlerFunc(w.page), eng
	w.server.Compression = &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: 1}
	w.inMux[1].Piece, w.inMux[1].MaxWhole, w.inMux[1].Compression = w.piece, 100, w.server.Compression
	if tight {
		for _, s := range []*websocket.Server{w.server, w.inMux[0], w.inMux[1]} {
			s.MaxPerAddress, s.MaxHandshakes, s.MaxHTTP = 6, 3, 3
		}
	}
	if seed%2 == 0 {
		w.server.Proxies = local
		w.inMux[0].Rate = &websocket.Rate{Messages: 100, Burst: 3, Exceeded: w.exceeded}
	}
	w.mux = &websocket.Mux{Servers: map[string]*websocket.Server{"/a": w.inMux[0], "/b/": w.inMux[1]},
		Handler: http.HandlerFunc(w.page), Refused: w.refused, Limits: lifeLimits, HTTPTimeout: lifeTime,
		MaxHandshakesPerAddress: -1, MaxHTTPPerAddress: -1}
	w.client = &websocket.Client{Message: w.message, Ping: w.control("Ping"), Pong: w.control("Pong"),
		Drained: w.other("Drained"), Close: w.close, Limits: lifeLimits, Compression: w.server.Compression}
}

// listen makes all listen, and returns the server of net/http.
func (w *world) listen() *httptest.Server {
	certs := httptest.NewTLSServer(nil)
	certs.Close()
	layer, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: certs.TLS.Certificates,
		NextProtos: []string{"http/1.1", "h2"}}})
	if err != nil {
		w.t.Fatal(err)
	}
	for i, accept := range []func(*engine.Conn) engine.Protocol{w.server.Accept, w.mux.Accept, w.server.Accept} {
		config := engine.ListenConfig{MaxConnections: lifeConnections}
		if i == secureAddress {
			config.Layer = layer.Server()
		}
		ln, err := config.Listen(w.eng, "tcp", "127.0.0.1:0", accept)
		if err != nil {
			w.t.Fatal(err)
		}
		w.addresses = append(w.addresses, ln.String())
	}
	site := httptest.NewUnstartedServer(http.HandlerFunc(w.page))
	site.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	site.Config.ReadHeaderTimeout = lifeTime
	site.Start()
	w.addresses = append(w.addresses, site.Listener.Addr().String())
	return site
}

func (w *world) unused() bool { return w.uses() == [12]int{} }

// uses returns what the Servers count.
func (w *world) uses() (u [12]int) {
	for i, s := range []*websocket.Server{w.server, websocket.Front(w.mux), w.inMux[0], w.inMux[1]} {
		u[3*i], u[3*i+1], u[3*i+2] = websocket.Used(s)
	}
	u[4] = 0 // nobody is open in the front
	return u
}

// rest waits for the end of all connections, which leave nothing. Some must be closed. Callbacks
// may still dial more of them.
func (w *world) rest() {
	var s engine.Stats
	over := func() bool {
		w.mu.Lock()
		for c, l := range w.lives {
			if l.lasts.Load() && !l.closed.Load() {
				c.Handle().Close(websocket.GoingAway, "")
			}
		}
		w.mu.Unlock()
		var err error
		s, err = w.eng.Stats(w.t.Context())
		return err == nil && s.Connections == 0 && w.unused()
	}
	for end := time.Now().Add(patience); !over(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			w.t.Fatalf("no end of %d connections within %v, used %v, owed %q", s.Connections, patience, w.uses(),
				w.owes())
		}
	}
	until(w.t, "end of all memory and timers", func() bool {
		var err error // what is posted counts until it is called
		s, err = w.eng.Stats(w.t.Context())
		return err == nil && s.Buffered == 0 && s.Held == 0 && s.Timers == 0
	})
}

// fill opens as many connections as the listeners allow, which must have forgotten all others.
func (w *world) fill() {
	for i := range secureAddress + 1 {
		until(w.t, "room for all", func() bool { return w.fits(i) })
	}
}

// fits reports whether as many connections to a listener as it allows are answered. They may have
// to wait for longer than they have time.
func (w *world) fits(listener int) bool {
	var all []net.Conn
	for range lifeConnections {
		nc, err := net.Dial("tcp", w.addresses[listener])
		if err != nil {
			w.t.Fatal(err)
		}
		defer nc.Close()
		all = append(all, nc)
	}
	for _, nc := range all {
		nc.SetDeadline(time.Now().Add(patience))
		if listener == secureAddress {
			nc = tls.Client(nc, &tls.Config{InsecureSkipVerify: true})
		}
		if _, err := io.WriteString(nc, "no request\n"); err != nil {
			return false
		}
		if b, err := io.ReadAll(nc); err != nil || len(b) == 0 {
			return false
		}
	}
	return true
}

// page is the Handler, and that of net/http.
func (w *world) page(rw http.ResponseWriter, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			panic("trip") // net/http does not survive a wicked error
		}
	}()
	s := [...]*websocket.Server{w.server, w.inMux[0], w.inMux[1]}[w.n(3)]
	switch {
	case len(r.Header["Upgrade"]) == 0:
		w.trip()
		io.WriteString(rw, "page")
	case w.n(10) == 0:
		w.server.ServeHTTP(rw, r)
	default:
		s.Upgrade(w.eng, rw, r)
		w.trip()
	}
}
