// Command tcpecho sends back every byte that it receives.
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

// echo is the protocol of one connection.
type echo struct{ conn *engine.Conn }

// Feed gets what the peer has sent, and returns how much of it was used.
func (e *echo) Feed(b []byte) (int, error) {
	e.conn.Write(b) // if it fails, the connection is about to end
	return len(b), nil
}

// Closed is called once, when the connection has ended.
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
