// Command wsserver is Myriad's WebSocket server with what benchmarks need besides an echo. It is
// examples/wsecho without its care for large messages, and adds two things:
//
//   - A message from a connection that was opened at /broadcast goes to all connections, wherever
//     they were opened. All other messages are sent back.
//   - With -metrics, it sends the figures of its engine and of Go's runtime, as JSON, to whoever
//     connects to a unix socket.
package main

import (
	"context"
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
	if err := run(ctx, *addr, *loops, listen, server, *metrics); err != nil {
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
		Limits:  websocket.Limits{MaxMessage: 4 << 20}, // as the peers have it
	}
}

func run(ctx context.Context, addr string, loops int, listen engine.ListenConfig, server *websocket.Server,
	metrics string) error {
	// These are wsecho's limits.
	eng, err := engine.New(engine.Config{Loops: loops, HighWater: 512 << 10, MaxOutbound: 16 << 20})
	if err != nil {
		return err
	}
	if metrics != "" {
		ln, err := net.Listen("unix", metrics)
		if err != nil {
			return err
		}
		defer ln.Close()
		go serveFigures(eng, ln)
	}
	ln, err := listen.Listen(eng, "tcp", addr, server.AcceptWebSocket)
	if err != nil {
		return err
	}
	fmt.Println("wsserver: listening on", ln)
	return eng.Run(ctx)
}
