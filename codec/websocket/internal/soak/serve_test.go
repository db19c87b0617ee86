package soak

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// serve opens everything that peers connect to.
func (g *generation) serve() (err error) {
	if g.layer, err = tlslayer.New(tlslayer.Config{TLS: &tls.Config{Certificates: g.certs}, Logger: g.log,
		MaxHandshakesPerAddress: -1}); err != nil {
		return err
	}
	if g.clients, err = tlslayer.New(tlslayer.Config{TLS: g.client, Logger: g.log,
		MaxHandshakesPerAddress: -1}); err != nil {
		return err
	}
	ws, slow := g.server(), g.wildServer()
	tls := engine.ListenConfig{Layer: g.layer.Server()}
	for _, l := range []struct {
		address *string
		config  engine.ListenConfig
		accept  func(*engine.Conn) engine.Protocol
	}{
		{&g.plain, engine.ListenConfig{PerLoop: g.number%2 == 0}, g.greet},
		{&g.secure, tls, g.greet},
		{&g.frail, engine.ListenConfig{}, func(c *engine.Conn) engine.Protocol {
			c.Write([]byte("x"))
			panic("accept")
		}},
		{&g.ws, engine.ListenConfig{}, ws.Accept},
		{&g.wss, tls, ws.Accept},
		{&g.wildWS, engine.ListenConfig{WriteBuffer: 8 << 10}, slow.Accept},
	} {
		ln, err := l.config.Listen(g.eng, "tcp", "127.0.0.1:0", l.accept)
		if err != nil {
			return err
		}
		*l.address = ln.String()
	}
	pl, err := g.eng.ListenPacket("udp", "127.0.0.1:0",
		engine.SessionConfig{IdleTimeout: 200 * time.Millisecond}.Accept(newSession))
	if err != nil {
		return err
	}
	g.packets = pl.String()
	if g.raw, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	g.helpers.Go(g.adoptAll)
	return g.serveWeb(ws)
}

// serveWeb runs an HTTP server that hands WebSockets to the engine.
func (g *generation) serveWeb(ws *websocket.Server) error {
	nl, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	g.webAddress = nl.Addr().String()
	g.web = &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			ws.Upgrade(g.eng, w, r) // an error was answered
		})}
	g.helpers.Go(func() { g.web.Serve(nl) })
	return nil
}

func (g *generation) closeServers() {
	g.web.Close()
	g.raw.Close()
}

// adoptAll gives connections of the net package to the engine, with some bytes that came early.
func (g *generation) adoptAll() {
	for {
		nc, err := g.raw.Accept()
		if err != nil {
			return
		}
		early := make([]byte, 3)
		nc.SetReadDeadline(time.Now().Add(patience))
		n, _ := io.ReadFull(nc, early)
		nc.SetReadDeadline(time.Time{})
		if g.eng.Adopt(nc, early[:n], g.greet) != nil {
			nc.Close()
		}
	}
}

// observer panics now and then.
func observer() engine.Observer {
	var calls atomic.Uint32
	sometimes := func() {
		if calls.Add(1)%97 == 0 {
			panic("observer")
		}
	}
	return engine.Observer{
		Closed: func(*engine.Conn, error) { sometimes() },
		Worked: func(int, time.Duration) { sometimes() },
	}
}

// session echoes datagrams.
type session struct{ s *engine.Session }

func newSession(s *engine.Session) engine.SessionProtocol { return session{s} }

func (p session) Datagram(b []byte) {
	if string(b) == "panic" {
		panic("Datagram")
	}
	p.s.Write(b)
}

func (p session) Closed(err error) {
	if err == engine.ErrIdleTimeout {
		panic("Closed of a session")
	}
}
