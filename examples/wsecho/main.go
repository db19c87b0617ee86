// Command wsecho is a WebSocket server that sends back every message: text as text, binary as binary.
//
//	wsecho -addr 127.0.0.1:9001 -compress
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9001", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	maxMessage := flag.Int("max-message", 64<<20, "largest message, in `bytes`")
	compress := flag.Bool("compress", false, "offer permessage-deflate, with all its parameters")
	handshakeTimeout := flag.Duration("handshake-timeout", websocket.DefaultHandshakeTimeout, "time for the opening handshake")
	flag.Parse()

	server := &websocket.Server{
		Message:          func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Origins:          []string{"*"},
		MaxMessage:       *maxMessage,
		HandshakeTimeout: *handshakeTimeout,
	}
	if *compress {
		server.Compression = &websocket.Compression{ServerTakeover: true, ClientTakeover: true}
	}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops, server); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, loops int, server *websocket.Server) error {
	// An echo may have as much to send as it was sent.
	eng, err := engine.New(engine.Config{Loops: loops, MaxOutbound: max(server.MaxMessage, 16<<20)})
	if err != nil {
		return err
	}
	ln, err := eng.Listen("tcp", addr, server.Accept)
	if err != nil {
		return err
	}
	fmt.Println("wsecho: listening on", ln)
	return eng.Run(ctx)
}
