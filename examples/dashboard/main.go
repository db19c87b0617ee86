// Command dashboard is a WebSocket echo server with a web page that shows live numbers of its
// engine. Clients in the same process make a load, so that there is something to see.
//
//	dashboard -addr 127.0.0.1:8080 -demo 200
//	dashboard -addr 0.0.0.0:8443 -host www.example.com -cert cert.pem -key key.pem
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
	"net/netip"
	"os/signal"
	"sync"
	"syscall"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

//go:embed index.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`host:port` to listen on")
	host := flag.String("host", "", "`name` or address of this machine for pages that come from others")
	loops := flag.Int("loops", 0, "number of event loops (0: one per processor)")
	demo := flag.Int("demo", 200, "number of demo `clients` in this process (0: none)")
	certFile := flag.String("cert", "", "PEM `file` with the certificate chain, for TLS (\"\": none)")
	keyFile := flag.String("key", "", "PEM `file` with the key of the certificate")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	layer, err := secured(*certFile, *keyFile)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(ctx, *addr, *host, *loops, *demo, layer); err != nil {
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

func run(ctx context.Context, addr, host string, loops, demo int, layer engine.Layer) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	m := newMonitor(eng, demo)
	ln, err := engine.ListenConfig{Layer: layer}.Listen(eng, "tcp", addr, newServer(m, host).Accept)
	if err != nil {
		return err
	}
	scheme := "http"
	if layer != nil {
		scheme = "https"
	}
	near := ln.Addr() // for this machine
	if near.Addr().IsUnspecified() {
		near = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), near.Port())
	}
	fmt.Printf("dashboard: listening on %v, open %s://%v/\n", ln, scheme, near)
	ctx, cancel := context.WithCancel(ctx)
	var others sync.WaitGroup
	defer others.Wait()
	defer cancel() // in case Run ends by itself
	others.Go(func() { m.run(ctx) })
	others.Go(func() { load(ctx, near.String(), layer != nil, demo) })
	return eng.Run(ctx)
}

// newServer serves the numbers at /ws, an echo at /echo, the page at /, and a health check at
// /healthz. host is one that a request may be for, besides this machine's own; "": none.
func newServer(m *monitor, host string) *websocket.Mux {
	hosts := []string{"localhost", "127.0.0.1", "[::1]"}
	if host != "" {
		hosts = append(hosts, host)
	}
	numbers := &websocket.Server{
		Open:  m.join,
		Close: func(c *websocket.Conn, _ error) { m.leave(c) },
	}
	echo := &websocket.Server{
		Message: func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
	}
	return &websocket.Mux{
		Servers: map[string]*websocket.Server{"/ws": numbers, "/echo": echo},
		Handler: pages(),
		// It asks for no password. Without this, a page of any site could read the numbers, after
		// it has had its own name resolved to this address.
		Hosts: hosts,
	}
}

// pages handles all requests for which there is no Server.
func pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	return mux
}
