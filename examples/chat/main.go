// Command chat is a chat room: a web page, and the WebSocket that it opens, on one port.
//
//	chat -addr 127.0.0.1:8080
package main

import (
	"context"
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
)

//go:embed index.html
var page []byte

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`host:port` to listen on")
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
	ln, err := eng.Listen("tcp", addr, newServer().Accept)
	if err != nil {
		return err
	}
	fmt.Printf("chat: listening on %v, open http://%v/\n", ln, ln)
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
