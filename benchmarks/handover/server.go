//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// serverConfig is what a server needs to know.
type serverConfig struct {
	path, plain, secure, certificate string

	window, loops int
	profile       string
}

// A server prints a note for each of these, as a line of JSON.
const (
	noteBegun     = "begun"     // before it inherits
	noteInherited = "inherited" // it has the listeners
	noteServing   = "serving"   // it accepts, and all that it inherits has come; or nothing came
	noteFigures   = "figures"   // it was asked for
	noteEnd       = "end"
)

// writeBuffer is small, so that what waits for a client that reads late waits in the server.
const writeBuffer = 16 << 10

// note is what a server tells.
type note struct {
	What  string
	Found bool   // there was an old process
	Error string // why it ends, or why a handover has failed

	User, System time.Duration // that the process has used so far
	RSS          int64
	Connections  int
	Stage        string
	Inherited    bool
	Came, Went   int // open WebSockets, from the old process and to the new one
	Stayed       map[string]int
	Took         time.Duration
	Frozen       []time.Duration // how long each connection was, that has come since the last note
}

// server is a server's process.
type server struct {
	engine *engine.Engine
	out    struct {
		sync.Mutex
		*json.Encoder
	}
	saves, loads atomic.Int64 // until it kills itself; negative: never
	loaded       atomic.Int64 // connections that have come
	came, went   atomic.Int64 // WebSockets

	frozen struct {
		sync.Mutex
		all []time.Duration
	}
}

// serve is the program of a server.
func serve(c serverConfig) error {
	s := &server{}
	s.out.Encoder = json.NewEncoder(os.Stdout)
	s.saves.Store(-1)
	s.loads.Store(-1)
	err := s.run(c)
	n := s.figures(noteEnd)
	if n.Error == "" && err != nil && !errors.Is(err, engine.ErrHandedOver) {
		n.Error = err.Error()
	}
	s.tell(n)
	return nil
}

func (s *server) run(c serverConfig) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	certificate, err := tls.LoadX509KeyPair(c.certificate, c.certificate)
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	l, err := tlslayer.New(tlslayer.Config{TLS: config, Logger: logger})
	if err != nil {
		return err
	}
	if s.engine, err = engine.New(engine.Config{Loops: c.loops, MaxBuffered: -1, Logger: logger}); err != nil {
		return err
	}
	go s.obey(c.profile == "")
	ws := &websocket.Server{
		Message:  func(c *websocket.Conn, op websocket.Opcode, data []byte) { c.Send(op, data) },
		Close:    s.closed,
		Limits:   websocket.Limits{IdleTimeout: -1}, // clients send pings, and do not answer any
		Handover: &websocket.Handover{Save: s.save, Load: s.load},
		Compression: &websocket.Compression{ServerTakeover: true, ClientTakeover: true, Threshold: threshold,
			ServerWindowBits: c.window, ClientWindowBits: c.window, MaxWindows: -1},
	}
	load := func(c *engine.Conn, state []byte) (engine.Protocol, error) {
		defer s.loaded.Add(1)
		return ws.Load(c, state)
	}
	h := &engine.Handover{Path: c.path, Load: load, Layer: l.Server(), Timeout: 3 * time.Second,
		Patience: 10 * time.Second} // on a crowded machine the rest of a message may come late
	s.tell(s.figures(noteBegun))
	if c.profile != "" {
		f, err := os.Create(filepath.Join(c.profile, fmt.Sprintf("%d.pprof", os.Getpid())))
		if err != nil {
			return err
		}
		runtime.SetCPUProfileRate(1000)
		pprof.StartCPUProfile(f)
		defer pprof.StopCPUProfile()
	}
	found, err := h.Inherit(context.Background(), s.engine)
	if err != nil {
		return err
	}
	s.tell(note{What: noteInherited, Found: found})
	lc := engine.ListenConfig{WriteBuffer: writeBuffer}
	if _, err := lc.Listen(s.engine, "tcp", c.plain, ws.Accept); err != nil {
		return err
	}
	lc.Layer = l.Server()
	if _, err := lc.Listen(s.engine, "tcp", c.secure, ws.Accept); err != nil {
		return err
	}
	go s.watch(found)
	go func() {
		<-s.engine.Started()
		h.Offer(context.Background(), s.engine) // Run returns the same error
	}()
	return s.engine.Run(context.Background())
}

// watch tells when the server serves.
func (s *server) watch(found bool) {
	<-s.engine.Started()
	for late := time.Now().Add(patience); found && time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		h := s.engine.Handover()
		over := h.Stage == engine.HandoverDone || h.Stage == engine.HandoverFailed
		if over && int(s.loaded.Load()) == h.Moved {
			break
		}
	}
	n := s.figures(noteServing)
	n.Found = found
	s.tell(n)
}

// obey does what this program writes to the server's standard input. Without collect, no garbage is
// collected: a profile has nothing but the handover then.
func (s *server) obey(collect bool) {
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var what string
		var n int64
		fmt.Sscan(in.Text(), &what, &n)
		switch what {
		case "figures":
			s.tell(s.figures(noteFigures))
		case "collect":
			if collect {
				runtime.GC() // twice, since what is in a sync.Pool outlives one
				debug.FreeOSMemory()
			}
			s.tell(s.figures(noteFigures))
		case "save":
			s.saves.Store(n)
		case "load":
			s.loads.Store(n)
		}
	}
	s.engine.Close() // the program has ended
}

// figures returns what is known now.
func (s *server) figures(what string) note {
	n := note{What: what}
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err == nil {
		n.User, n.System = time.Duration(used.Utime.Nano()), time.Duration(used.Stime.Nano())
	}
	n.RSS, _ = proc.RSS(os.Getpid())
	if s.engine == nil {
		return n
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if stats, err := s.engine.Stats(ctx); err == nil {
		n.Connections = stats.Connections
	}
	h := s.engine.Handover()
	n.Stage, n.Inherited, n.Stayed, n.Took = h.Stage.String(), h.Inherited, h.Stayed, h.Took
	n.Came, n.Went = int(s.came.Load()), int(s.went.Load())
	if h.Err != nil {
		n.Error = h.Err.Error()
	}
	s.frozen.Lock()
	n.Frozen, s.frozen.all = s.frozen.all, nil
	s.frozen.Unlock()
	return n
}

func (s *server) tell(n note) {
	s.out.Lock()
	defer s.out.Unlock()
	s.out.Encode(n)
}

// closed counts connections that have moved, and tells why others were closed, except by their
// clients.
func (s *server) closed(c *websocket.Conn, err error) {
	switch {
	case errors.Is(err, engine.ErrHandedOver):
		s.went.Add(1)
	case websocket.CloseStatus(err) != websocket.NormalClosure:
		fmt.Fprintf(os.Stderr, "%v: %v\n", c.RemoteAddr(), err)
	}
}

// save notes when c was frozen.
func (s *server) save(_ *websocket.Conn, dst []byte) ([]byte, error) {
	countdown(&s.saves)
	return binary.BigEndian.AppendUint64(dst, uint64(time.Now().UnixNano())), nil
}

// load notes for how long c was frozen.
func (s *server) load(_ *websocket.Conn, state []byte) error {
	countdown(&s.loads)
	s.came.Add(1)
	if len(state) != 8 {
		return errors.New("handover: a malformed state")
	}
	d := time.Since(time.Unix(0, int64(binary.BigEndian.Uint64(state))))
	s.frozen.Lock()
	s.frozen.all = append(s.frozen.all, d)
	s.frozen.Unlock()
	return nil
}

// countdown kills this process when n has come down to 0.
func countdown(n *atomic.Int64) {
	if n.Load() >= 0 && n.Add(-1) < 0 {
		unix.Kill(os.Getpid(), unix.SIGKILL)
	}
}
