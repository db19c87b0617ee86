// Command arena is a small multiplayer game: a page with a canvas, and a world that one loop of the
// server computes 30 times per second. Everybody gets the part of it that is in sight.
//
//	arena -addr 127.0.0.1:8080
//	arena -addr 0.0.0.0:8080 -bots 200
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
	bots := flag.Int("bots", 24, "number of players that the program plays itself, as clients")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *addr, *loops, *bots); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, addr string, loops, bots int) error {
	eng, err := engine.New(engine.Config{Loops: loops})
	if err != nil {
		return err
	}
	g, err := newGame(eng)
	if err != nil {
		return err
	}
	ln, err := eng.Listen("tcp", addr, newServer(g).Accept)
	if err != nil {
		return err
	}
	fmt.Printf("arena: listening on %v, open http://%v/\n", ln, ln)
	if err := startBots(ctx, eng, g, fmt.Sprintf("ws://%v/ws", ln), bots); err != nil {
		return err
	}
	return eng.Run(ctx)
}

// newServer serves the game at /ws, its page at /, its figures at /stats, and a health check at
// /healthz.
func newServer(g *game) *websocket.Mux {
	play := &websocket.Server{
		Handshake: func(h *websocket.Handshake) { h.MoveTo(g.room.Loop()) },
		Message:   g.message,
		Close:     g.lost,
		Limits:    websocket.Limits{MaxMessage: 1024},
		// The page sends 30 messages per second. One that sends more loses them.
		Rate: &websocket.Rate{Messages: 60, Excess: websocket.DropExcess},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(page)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(*g.figures.latest.Load())
	})
	return &websocket.Mux{Servers: map[string]*websocket.Server{"/ws": play}, Handler: mux}
}
