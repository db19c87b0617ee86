// Command tcpecho sends back every byte that it gets.
//
//	tcpecho -addr 127.0.0.1:7000
//	tcpecho -addr unix:/tmp/echo.sock
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"strings"
	"syscall"

	"github.com/myriadnet/myriad/engine"
)

// echo is the protocol of one connection: what is read is written.
type echo struct{ conn *engine.Conn }

func (e *echo) Feed(b []byte) (int, error) {
	e.conn.Write(b) // if the connection cannot take it, Closed is told
	return len(b), nil
}

func (e *echo) Closed(error) {}

func main() {
	addr := flag.String("addr", "127.0.0.1:7000", "`host:port` or unix:path to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, loops int) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	network := "tcp"
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, addr = "unix", path
	}
	ln, err := eng.Listen(network, addr, func(c *engine.Conn) engine.Protocol { return &echo{c} })
	if err != nil {
		return err
	}
	fmt.Println("tcpecho: listening on", ln)
	return eng.Run(ctx)
}
