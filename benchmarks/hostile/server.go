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
	"runtime/metrics"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
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

	Connected int
	Took      time.Duration // to find that out
	Error     string        // why it could not

	// Of a server with TLS.
	RSS        int64 // after memory was given back to the system
	Lags       [engine.LagBuckets]uint64
	Computed   [engine.LagBuckets]uint64 // the same by processor time: see loopClock
	Handshakes tlslayer.Stats

	MostComputed time.Duration
}

// room is the audience of a broadcast. Its goroutine owns the set, so that no loop waits for a
// lock.
type room struct {
	changes chan func(all map[websocket.Handle]bool)
}

func (r room) join(c *websocket.Conn) {
	h := c.Handle()
	r.changes <- func(all map[websocket.Handle]bool) { all[h] = true }
}

func (r room) leave(c *websocket.Conn, _ error) {
	h := c.Handle()
	r.changes <- func(all map[websocket.Handle]bool) { delete(all, h) }
}

// talk sends tiny messages to everybody, for ever, each of its own.
func (r room) talk() {
	all := map[websocket.Handle]bool{}
	every := 5 * time.Millisecond
	if !*fair { // so often, the server would do little else for its 1,000 listeners
		every = 100 * time.Millisecond
	}
	tick := time.NewTicker(every)
	for i := 0; ; {
		select {
		case f := <-r.changes:
			f(all)
		case <-tick.C:
			m := websocket.Prepare(websocket.Text, fmt.Appendf(nil, "tick %d", i))
			websocket.Broadcast(m, maps.Keys(all), engine.SlowPolicy(i%2)) // wait, or drop
			i++
		}
	}
}

// onLoop returns a member that a loop serves, if there is one.
func (r room) onLoop(loop int) (h websocket.Handle, ok bool) {
	found := make(chan bool)
	r.changes <- func(all map[websocket.Handle]bool) {
		for h = range all {
			if h.Loop() == loop {
				ok = true
				break
			}
		}
		close(found)
	}
	<-found
	return h, ok
}

func runServer() error {
	if err := proc.Pin(*on); err != nil {
		return err
	}
	goFirst()
	loops := 2
	if *fair {
		loops = 1
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	eng, err := engine.New(engine.Config{Loops: loops, MaxBuffered: *budget, BlockedAfter: -1, Logger: quiet})
	if err != nil {
		return err
	}
	r := room{make(chan func(map[websocket.Handle]bool), 100_000)}
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
		lc := engine.ListenConfig{}
		if at == &a.Room && !*fair {
			lc.WriteBuffer = 4 << 10 // messages are to wait in this process, not in the kernel
		}
		ln, err := lc.Listen(eng, "tcp", "127.0.0.1:0", s.Accept)
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
	peak := make(chan figures, 1)
	a.Figures = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/peak": // it may take a while, and the answer is wanted after the attack
			go func() {
				peak <- measure(eng)
				block(eng, r)
			}()
		case "/seen":
			json.NewEncoder(w).Encode(<-peak)
		default:
			json.NewEncoder(w).Encode(measure(eng))
		}
	})).URL
	go r.talk()
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		return err
	}
	return eng.Run(context.Background())
}

// measure collects garbage first, since pools keep things for one collection. The next one finds
// what is alive; Stats is asked again and again meanwhile, and the mean is what was counted.
func measure(eng *engine.Engine) (f figures) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	begin := time.Now()
	runtime.GC()
	over := make(chan bool)
	go func() {
		runtime.GC()
		close(over)
	}()
	n, sum := 0, 0
	for done := false; !done; n++ {
		select {
		case <-over:
			done = true
		case <-time.After(time.Millisecond):
		}
		stats, err := eng.Stats(ctx)
		if err != nil {
			f.Error = err.Error()
			return f
		}
		sum += stats.Buffered
		f.Posted, f.Held, f.Connected = stats.Posted, stats.Held, stats.Connections
		f.Closed = stats.Closed[engine.CauseLimit]
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(live)
	f.Heap = int(live[0].Value.Uint64() + live[1].Value.Uint64())
	f.Buffered, f.Took = sum/n, time.Since(begin)
	return f
}

// block keeps the second loop from working for 300 ms at a time, and sends small messages to its
// connections meanwhile.
func block(eng *engine.Engine, r room) {
	for {
		free := make(chan bool)
		eng.Post(1, func() { <-free })
		for h, ok := r.onLoop(1); ok && h.Send(websocket.Text, []byte{'x'}) == nil; {
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
