// Command wssecho is a WebSocket server over TLS that sends back every message.
//
//	wssecho -addr 127.0.0.1:9443 -cert cert.pem -key key.pem
//
// It is a program of its own, because wsecho is to show how small one without TLS is.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9443", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	certFile := flag.String("cert", "cert.pem", "PEM `file` with the certificate chain")
	keyFile := flag.String("key", "key.pem", "PEM `file` with the key of the certificate")
	standard := flag.Bool("standard", false, "leave the records to crypto/tls")
	flag.Parse()

	cert, err := tls.LoadX509KeyPair(*certFile, *keyFile)
	if err != nil {
		log.Fatal(err)
	}
	layer, err := tlslayer.New(tlslayer.Config{
		TLS:             &tls.Config{Certificates: []tls.Certificate{cert}},
		StandardRecords: *standard,
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops, layer); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, addr string, loops int, layer *tlslayer.Layer) error {
	server := &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Origins: []string{"*"},
	}
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	// A TLS client speaks first. With DeferAccept the kernel hands over a connection together with
	// its ClientHello, which saves a wake-up for each.
	lc := engine.ListenConfig{DeferAccept: time.Second, Layer: layer.Server()}
	ln, err := lc.Listen(eng, "tcp", addr, server.AcceptWebSocket)
	if err != nil {
		return err
	}
	fmt.Println("wssecho: listening on", ln)
	return eng.Run(ctx)
}
