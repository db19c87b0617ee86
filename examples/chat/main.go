// Command chat is a chat room: a web page, and the WebSocket that it opens, on one port.
//
//	chat -addr 127.0.0.1:8080
//	chat -addr 0.0.0.0:8443 -cert cert.pem -key key.pem
package main

import (
	"context"
	"crypto/tls"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os/signal"
	"syscall"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

//go:embed index.html
var page []byte

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
	ln, err := engine.ListenConfig{Layer: layer}.Listen(eng, "tcp", addr, newServer().Accept)
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

// newServer serves a chat room at /ws, its page at /, and a health check at /healthz.
func newServer() *websocket.Mux {
	var room room
	chat := &websocket.Server{
		Message: websocket.HandleJSON(room.message),
		Close:   func(c *websocket.Conn, _ error) { room.leave(c) },
		Limits:  websocket.Limits{MaxMessage: 16 << 10},
	}
	return &websocket.Mux{
		Servers: map[string]*websocket.Server{"/ws": chat},
		Handler: pages(),
	}
}

// pages handles all requests but the handshakes at /ws.
func pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	return mux
}
