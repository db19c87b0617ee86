// Command wsserver is Myriad's WebSocket server with what benchmarks need besides an echo. It is
// examples/wsecho without its care for large messages, and adds three things:
//
//   - A message from a connection that was opened at /broadcast goes to all connections, wherever
//     they were opened. All other messages are sent back.
//   - With -metrics, it sends the figures of its engine and of Go's runtime, as JSON, to whoever
//     connects to a unix socket.
//   - With -handover, it takes over the connections of the process that has the same path, and
//     hands over to the next one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os/signal"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9001", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	perLoop := flag.Bool("per-loop", false, "a listening socket for each loop")
	compress := flag.Bool("compress", false, "offer permessage-deflate, with all its parameters")
	idleTimeout := flag.Duration("idle-timeout", websocket.Limits{}.WithDefaults().IdleTimeout,
		"time without a byte after which a connection is pinged")
	secure := flag.Bool("tls", false, "serve TLS with a certificate that is made up")
	metrics := flag.String("metrics", "", "`path` of the unix socket for figures")
	path := flag.String("handover", "", "`path` of the unix socket for handovers")
	flag.Parse()

	server := newServer()
	server.IdleTimeout = *idleTimeout
	if *compress {
		server.Compression = &websocket.Compression{ServerTakeover: true, ClientTakeover: true}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	listen := engine.ListenConfig{DeferAccept: time.Second, PerLoop: *perLoop}
	if *secure {
		layer, err := serverLayer()
		if err != nil {
			log.Fatal(err)
		}
		listen.Layer = layer
	}
	s := &serving{addr: *addr, loops: *loops, listen: listen, server: server, metrics: *metrics}
	if *path != "" {
		s.handover = &engine.Handover{Path: *path, Load: server.Load, Layer: listen.Layer, Timeout: time.Minute}
	}
	if err := s.run(ctx); err != nil && !errors.Is(err, engine.ErrHandedOver) {
		log.Fatal(err)
	}
}

// broadcasts is the Value of a connection whose messages go to all.
type broadcasts struct{}

func newServer() *websocket.Server {
	var audience audience
	return &websocket.Server{
		Handshake: func(h *websocket.Handshake) {
			if string(h.Raw.Path) == "/broadcast" {
				h.Conn.Value = broadcasts{}
			}
		},
		Open: func(c *websocket.Conn) { audience.join(c.Handle()) },
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			if c.Value == nil {
				c.Send(op, data)
			} else {
				audience.send(op, data)
			}
		},
		Close:   func(*websocket.Conn, error) { audience.left() },
		Origins: []string{"*"},
		Handover: &websocket.Handover{
			Save: func(c *websocket.Conn, dst []byte) ([]byte, error) {
				if c.Value != nil {
					dst = append(dst, 1)
				}
				return dst, nil
			},
			Load: func(c *websocket.Conn, state []byte) error {
				if len(state) > 0 {
					c.Value = broadcasts{}
				}
				audience.join(c.Handle())
				return nil
			},
		},
		Limits: websocket.Limits{MaxMessage: 4 << 20}, // as the peers have it
	}
}

// serving is a server, as the flags want it.
type serving struct {
	addr     string
	loops    int
	listen   engine.ListenConfig
	server   *websocket.Server
	metrics  string
	handover *engine.Handover // nil: none
}

func (s *serving) run(ctx context.Context) error {
	// These are wsecho's limits.
	eng, err := engine.New(engine.Config{Loops: s.loops, HighWater: 512 << 10, MaxOutbound: 16 << 20})
	if err != nil {
		return err
	}
	if s.metrics != "" {
		ln, err := net.Listen("unix", s.metrics)
		if err != nil {
			return err
		}
		defer ln.Close()
		go serveFigures(eng, ln)
	}
	if s.handover != nil {
		if _, err := s.handover.Inherit(ctx, eng); err != nil {
			return err
		}
		go func() {
			<-eng.Started()
			if err := s.handover.Offer(ctx, eng); err != nil && !errors.Is(err, engine.ErrHandedOver) {
				log.Print(err)
			}
		}()
	}
	ln, err := s.listen.Listen(eng, "tcp", s.addr, s.server.AcceptWebSocket)
	if err != nil {
		return err
	}
	fmt.Println("wsserver: listening on", ln)
	return eng.Run(ctx)
}
