// Command wsecho is a WebSocket server that sends back every message: text as text, binary as binary. A message from a
// connection that was opened at /broadcast goes to all connections instead, wherever they were opened.
//
//	wsecho -addr 127.0.0.1:9001 -compress
//
// With -metrics the figures of its engine and of Go's runtime are sent, as JSON, to whoever connects to a unix socket.
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
	defaults := websocket.Limits{}.WithDefaults()
	maxMessage := flag.Int("max-message", 64<<20, "largest message, in `bytes`")
	compress := flag.Bool("compress", false, "offer permessage-deflate, with all its parameters")
	handshakeTimeout := flag.Duration("handshake-timeout", defaults.HandshakeTimeout, "time for the opening handshake")
	idleTimeout := flag.Duration("idle-timeout", defaults.IdleTimeout, "time without a byte after which a connection is pinged")
	figures := flag.String("metrics", "", "`path` of a unix socket that tells figures")
	flag.Parse()

	server := newServer(*maxMessage)
	server.HandshakeTimeout, server.IdleTimeout = *handshakeTimeout, *idleTimeout
	if *compress {
		server.Compression = &websocket.Compression{ServerTakeover: true, ClientTakeover: true}
		server.Piece = nil // pieces compress less well, and what has begun to be inflated holds on to a window
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops, server, *figures); err != nil {
		log.Fatal(err)
	}
}

func newServer(maxMessage int) *websocket.Server {
	var audience audience
	return &websocket.Server{
		Handshake: func(u *websocket.Handshake) {
			if string(u.Raw.Path) == "/broadcast" {
				u.Conn.Value = &peer{speaks: true}
			}
		},
		Open: func(c *websocket.Conn) { audience.join(c.Handle()) },
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) {
			if c.Value == nil {
				c.Send(op, data)
			} else {
				audience.tell(op, data)
			}
		},
		Piece: audience.piece,
		Close: func(c *websocket.Conn, _ error) {
			c.Value = nil // the audience keeps the handle for a while
			audience.left()
		},
		Origins: []string{"*"},
		Limits:  websocket.Limits{MaxMessage: maxMessage, MaxWhole: 64 << 10}, // these come back in one frame, as they came
	}
}

func run(ctx context.Context, addr string, loops int, server *websocket.Server, figures string) error {
	// One piece must not stop the next: HighWater is above what is read at a time. An echo may have as much to send as it was sent.
	eng, err := engine.New(engine.Config{Loops: loops, HighWater: 512 << 10, MaxOutbound: max(server.MaxMessage, 16<<20)})
	if err != nil {
		return err
	}
	if figures != "" {
		ln, err := net.Listen("unix", figures)
		if err != nil {
			return err
		}
		defer ln.Close()
		go serveMetrics(eng, ln)
	}
	// A WebSocket's client speaks first: the kernel hands connections over with their requests, which is one wake-up less for each.
	ln, err := engine.ListenConfig{DeferAccept: time.Second}.Listen(eng, "tcp", addr, server.AcceptWebSocket)
	if err != nil {
		return err
	}
	fmt.Println("wsecho: listening on", ln)
	return eng.Run(ctx)
}
