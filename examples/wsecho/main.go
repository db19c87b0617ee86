// Command wsecho is a WebSocket server that sends back every message: text as text, binary as
// binary.
//
//	wsecho -addr 127.0.0.1:9001 -compress
//
// It sends a large message back piece by piece while it arrives, so a peer that reads what it is
// sent costs little memory even with messages of 64 MiB.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

func main() {
	defaults := websocket.Limits{}.WithDefaults()
	addr := flag.String("addr", "127.0.0.1:9001", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	maxMessage := flag.Int("max-message", 64<<20, "largest message, in `bytes`")
	compress := flag.Bool("compress", false, "offer permessage-deflate, with all its parameters")
	handshakeTimeout := flag.Duration("handshake-timeout", defaults.HandshakeTimeout,
		"time for the opening handshake")
	idleTimeout := flag.Duration("idle-timeout", defaults.IdleTimeout,
		"time without a byte after which a connection is pinged")
	flag.Parse()

	server := &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Piece:   echoPiece,
		Origins: []string{"*"},
		Limits: websocket.Limits{
			MaxMessage:       *maxMessage,
			MaxWhole:         64 << 10, // a message up to this size comes back in one frame
			HandshakeTimeout: *handshakeTimeout,
			IdleTimeout:      *idleTimeout,
		},
	}
	if *compress {
		server.Compression = &websocket.Compression{ServerTakeover: true, ClientTakeover: true}
		// Pieces compress less well, and a message that is being inflated holds on to a window.
		server.Piece = nil
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops, server); err != nil {
		log.Fatal(err)
	}
}

// echoPiece sends back a piece of a large message. While the peer does not read, echoPiece keeps
// pieces instead, because some peers write a whole message before they read.
func echoPiece(c *websocket.Conn, op websocket.Opcode, data []byte, last bool) {
	kept, _ := c.Value.([]byte)
	if !last && c.Pressure() != engine.Sent {
		c.Value = append(kept, data...)
		return
	}
	if kept != nil {
		data = append(kept, data...)
		c.Value = nil
	}
	c.SendPiece(op, data, last)
}

// run serves until ctx ends.
func run(ctx context.Context, addr string, loops int, server *websocket.Server) error {
	eng, err := engine.New(engine.Config{
		Loops: loops,
		// More than a loop reads at a time, so that the echo of one read does not pause the next.
		HighWater: 512 << 10,
		// An echo can have as much to send as it was sent.
		MaxOutbound: max(server.MaxMessage, 16<<20),
	})
	if err != nil {
		return err
	}
	// A WebSocket client speaks first. With DeferAccept the kernel hands over a connection together
	// with its request, which saves a wake-up for each.
	ln, err := engine.ListenConfig{DeferAccept: time.Second}.Listen(eng, "tcp", addr, server.AcceptWebSocket)
	if err != nil {
		return err
	}
	fmt.Println("wsecho: listening on", ln)
	return eng.Run(ctx)
}
