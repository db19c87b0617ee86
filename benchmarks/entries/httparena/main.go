// Command httparena is Myriad's entry for the test echo-ws of MDA2AV/HttpArena, whose load
// generator is gcannon: a WebSocket echo at /ws of port 8080, with one loop per processor.
//
// This folder is complete: with its Dockerfile and meta.json it can be copied there as
// frameworks/myriad. docs/benchmarks/others.md says how.
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
	addr := flag.String("addr", ":8080", "`host:port` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, addr string) error {
	mux := &websocket.Mux{Servers: map[string]*websocket.Server{"/ws": {
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Origins: []string{"*"},
	}}}
	eng, err := engine.New(engine.Config{})
	if err != nil {
		return err
	}
	// A client speaks first: the kernel hands over its request together with the connection.
	ln, err := engine.ListenConfig{DeferAccept: time.Second}.Listen(eng, "tcp", addr, mux.Accept)
	if err != nil {
		return err
	}
	fmt.Println("httparena: listening on", ln)
	return eng.Run(ctx)
}
