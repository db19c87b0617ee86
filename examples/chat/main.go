// Command chat is a chat room: a web page, and the WebSocket that it opens, on one port. Package
// room has what is special to a chat. The one in examples/chat/nats is the same in any number of
// processes.
//
//	chat -addr 127.0.0.1:8080
//	chat -addr 0.0.0.0:8443 -cert cert.pem -key key.pem
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"syscall"

	"github.com/myriadnet/myriad/codec/websocket/topic"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
	"github.com/myriadnet/myriad/examples/chat/internal/room"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`host:port` to listen on")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	certFile := flag.String("cert", "", "PEM `file` with the certificate chain, for TLS (\"\": none)")
	keyFile := flag.String("key", "", "PEM `file` with the key of the certificate")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	layer, err := secured(*certFile, *keyFile)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, *addr, *loops, layer); err != nil {
		log.Fatal(err)
	}
}

// secured returns the layer for TLS with a certificate from files; nil without one.
func secured(certFile, keyFile string) (engine.Layer, error) {
	if certFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	l, err := tlslayer.New(tlslayer.Config{TLS: &tls.Config{
		Certificates: []tls.Certificate{pair},
		NextProtos:   []string{"h2", "http/1.1"}, // pages by the first, WebSockets by the second
	}})
	if err != nil {
		return nil, err
	}
	return l.Server(), nil
}

func run(ctx context.Context, addr string, loops int, layer engine.Layer) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	ln, err := engine.ListenConfig{Layer: layer}.Listen(eng, "tcp", addr, room.New(new(topic.Hub)).Accept)
	if err != nil {
		return err
	}
	scheme := "http"
	if layer != nil {
		scheme = "https"
	}
	fmt.Printf("chat: listening on %v, open %s://%v/\n", ln, scheme, ln)
	return eng.Run(ctx)
}
