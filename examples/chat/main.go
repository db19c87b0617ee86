// Command chat is a chat room: a web page, and the WebSocket that it opens, on one port. Package
// room has what is special to a chat. The one in examples/chat/nats is the same in any number of
// processes.
//
//	chat -addr 127.0.0.1:8080
//	chat -addr 0.0.0.0:8443 -cert cert.pem -key key.pem
//
// With -handover it can be replaced without closing a connection: start it again with the same
// path, or send it SIGUSR2, which makes it start its own binary.
//
//	chat -addr 127.0.0.1:8080 -handover /run/chat/handover
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
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
	path := flag.String("handover", "", "unix socket `path` where the next process takes over (\"\": none)")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	layer, err := secured(*certFile, *keyFile)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, *addr, *loops, layer, *path); err != nil {
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

func run(ctx context.Context, addr string, loops int, layer engine.Layer, path string) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	hub := new(topic.Hub)
	mux := room.New(hub)
	r := &restart{eng: eng, handover: engine.Handover{
		Path: path, Load: mux.Load, Layer: layer, Links: map[string]engine.Link{"topics": hub},
	}}
	if path != "" {
		if err := r.inherit(ctx); err != nil {
			return err
		}
	}
	ln, err := listen(eng, engine.ListenConfig{Layer: layer}, addr, mux.Accept)
	if err != nil {
		return err
	}
	scheme := "http"
	if layer != nil {
		scheme = "https"
	}
	fmt.Printf("chat: listening on %v, open %s://%v/\n", ln, scheme, ln)
	if path != "" {
		defer r.begin(ctx, ln)()
	}
	err = eng.Run(ctx)
	if errors.Is(err, engine.ErrHandedOver) {
		return nil // the next process serves
	}
	return err
}

// listen listens on addr, or takes over the socket that systemd has kept: see notify.store.
func listen(eng *engine.Engine, lc engine.ListenConfig, addr string,
	accept func(*engine.Conn) engine.Protocol) (*engine.Listener, error) {
	files, err := engine.Inherited()
	if err != nil || len(files) == 0 {
		return lc.Listen(eng, "tcp", addr, accept)
	}
	for _, f := range files {
		defer f.Close() // FileListener makes another one
	}
	nl, err := net.FileListener(files[0])
	if err != nil {
		return nil, err
	}
	return lc.Serve(eng, nl, accept)
}
