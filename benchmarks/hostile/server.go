package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// addresses is what the server prints when it is ready.
type addresses struct {
	Echo, Stream, Room, Packets, Figures string
}

// figures is what the server knows of itself.
type figures struct {
	Heap     int // in use, with stacks, after a collection
	Buffered int // Stats
	Posted   int
	Held     int
	Closed   uint64 // because of limits
}

// room is the audience of a broadcast.
type room struct {
	mu  sync.Mutex
	all map[websocket.Handle]bool
}

func (r *room) join(c *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[c.Handle()] = true
}

func (r *room) leave(c *websocket.Conn, _ error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, c.Handle())
}

// talk sends tiny messages to everybody, for ever, each of its own.
func (r *room) talk() {
	for i := 0; ; i++ {
		r.mu.Lock()
		if len(r.all) == 0 {
			r.mu.Unlock()
			time.Sleep(10 * time.Millisecond)
			continue
		}
		m := websocket.Prepare(websocket.Text, fmt.Appendf(nil, "tick %d", i))
		websocket.Broadcast(m, maps.Keys(r.all), engine.SlowPolicy(i%2)) // wait, or drop
		r.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
}

func runServer() error {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	eng, err := engine.New(engine.Config{Loops: 2, MaxBuffered: *budget, BlockedAfter: -1, Logger: quiet})
	if err != nil {
		return err
	}
	r := &room{all: map[websocket.Handle]bool{}}
	echo := func(c *websocket.Conn, op websocket.Opcode, data []byte) {
		switch {
		case string(data) == "loop":
			c.Send(op, []byte{byte(c.Loop())})
		case len(data) < 1000:
			c.Send(op, data)
		}
	}
	a := addresses{}
	for at, s := range map[*string]*websocket.Server{
		&a.Echo: {Message: echo, Compression: &websocket.Compression{}},
		&a.Stream: {Compression: &websocket.Compression{},
			Piece: func(*websocket.Conn, websocket.Opcode, []byte, bool) {}},
		&a.Room: {Open: r.join, Close: r.leave},
	} {
		ln, err := eng.Listen("tcp", "127.0.0.1:0", s.Accept)
		if err != nil {
			return err
		}
		*at = ln.String()
	}
	pl, err := eng.ListenPacket("udp", "127.0.0.1:0",
		func(p *engine.PacketConn) engine.PacketProtocol { return answers{p} })
	if err != nil {
		return err
	}
	a.Packets = pl.String()
	a.Figures = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/block" {
			go block(eng, r)
			return
		}
		json.NewEncoder(w).Encode(measure(eng))
	})).URL
	go r.talk()
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return err
	}
	return eng.Run(context.Background())
}

// measure collects garbage first: what is counted is what is alive. Stats is asked before and
// after, since it takes a while, and the mean is what was counted meanwhile.
func measure(eng *engine.Engine) (f figures) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	first, err := eng.Stats(ctx)
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // pools keep things for one
	runtime.ReadMemStats(&m)
	last, err2 := eng.Stats(ctx)
	if err != nil || err2 != nil {
		return f
	}
	f.Heap = int(m.HeapAlloc + m.StackInuse)
	f.Buffered, f.Posted = (first.Buffered+last.Buffered)/2, last.Posted
	f.Held = last.Held
	f.Closed = last.Closed[engine.CauseLimit]
	return f
}

// block keeps the second loop from working for 300 ms at a time, and sends small messages to its
// connections meanwhile.
func block(eng *engine.Engine, r *room) {
	for {
		free := make(chan bool)
		eng.Post(1, func() { <-free })
		r.mu.Lock()
		var h websocket.Handle
		for h = range r.all {
			if h.Loop() == 1 {
				break
			}
		}
		r.mu.Unlock()
		for h.Loop() == 1 && h.Send(websocket.Text, []byte{'x'}) == nil {
		}
		time.Sleep(300 * time.Millisecond)
		close(free)
		time.Sleep(300 * time.Millisecond)
	}
}

// answers answers each datagram with many empty ones.
type answers struct{ p *engine.PacketConn }

func (a answers) Datagram(from engine.PacketAddr, b []byte) {
	for range 100 {
		a.p.WriteTo(nil, from)
	}
}

func (answers) Closed(error) {}
