// Package engine is a reactor: event loops that serve any number of connections with a handful of goroutines.
//
// An Engine has loops, by default one per processor. Each connection belongs to one loop for life, and all calls of its
// Protocol come from that loop's goroutine, one at a time; so a Protocol needs no locks for what belongs to its
// connection. What Conn offers is for the loop only; Handle is what other goroutines use.
//
// The engine knows no protocol: package codec cuts streams into messages, codec/websocket speaks WebSocket.
package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Config is an Engine's configuration. The zero value works: every field's zero means its default.
type Config struct {
	// Loops is the number of event loops. Default: runtime.GOMAXPROCS(0).
	Loops int
	// CPUs binds the loops to processors: loop i has a thread of its own (runtime.LockOSThread) that runs on CPUs[i] only,
	// over again if there are more loops (sched_setaffinity(2), Linux only: elsewhere New returns an error that wraps
	// errors.ErrUnsupported). Default: the schedulers decide, which was no slower wherever it was measured
	// (docs/decisions/0003-locality.md).
	CPUs []int
	// HighWater is the size of a connection's outbound queue, in bytes, above which the engine stops reading from that
	// peer; at LowWater it goes on. Defaults: 64 KiB, and a quarter of HighWater.
	HighWater, LowWater int
	// MaxOutbound is the size of the queue, in bytes, above which a further Write fails and closes the connection. A
	// single Write may be larger. Default: 16 MiB.
	MaxOutbound int
	// MaxInbound is how many bytes a Protocol may leave unconsumed; more closes the connection. Default: 2 MiB.
	MaxInbound int
	// MaxBuffered is how many bytes the buffers of all connections may take together: input that was not consumed, output
	// that was not sent (but for WriteShared's, which is shared). When they take more, the loops that hold more than an equal
	// part of it close connections with ErrBufferLimit until it is enough: first the one that has held one of the largest
	// buffers for the longest time. So those go that grow big or do not move, and small ones that come and go stay. Default:
	// 1 GiB; negative: no limit.
	MaxBuffered int
	// MaxPosted is how many bytes may wait for one loop, in bytes given to Handle.Send and PostBytes, which then return
	// ErrBusy: nothing is taken in without a bound for a loop that a handler blocks. A single one may be larger. Default: 64 MiB.
	MaxPosted int
	// TurnMessages and TurnBytes are a connection's share of a loop's turn: how many messages are delivered (see
	// Conn.Yield) and about how many bytes are read before the others are served, twice as many in the midst of something large
	// (see Conn.SetGreedy). Defaults: 1024, and 512 KiB.
	TurnMessages, TurnBytes int
	// WriteTimeout is how long a peer may take nothing of what is queued for it, as far as the kernel can tell; then the
	// connection is closed with ErrWriteStall. It may take an eighth longer. Default: 2 min; negative: no limit.
	WriteTimeout time.Duration
	// SlowGrace is how long a peer has to catch up, see SlowClose. Default: 5 s.
	SlowGrace time.Duration
	// Linger is how long a closing connection's peer may go without taking anything of what is queued, and then without
	// sending its FIN. Default: 2 s.
	Linger time.Duration
	// ShutdownTimeout is how long Run waits for connections to end when its context is cancelled. Default: 4 s.
	ShutdownTimeout time.Duration
	// MaxConnections is how many connections may be open at a time, those of Dial and Adopt included: while there are as
	// many, what a Listener accepts is closed at once. Default: no limit but the system's.
	MaxConnections int
	// Observer has functions to call as things happen. Default: none.
	Observer Observer
	// Logger gets what nobody else can be told: panics, and errors of accept. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.HighWater <= 0 {
		c.HighWater = 64 << 10
	}
	if c.LowWater <= 0 || c.LowWater > c.HighWater {
		c.LowWater = c.HighWater / 4
	}
	if c.MaxOutbound <= 0 {
		c.MaxOutbound = 16 << 20
	}
	if c.MaxInbound <= 0 {
		c.MaxInbound = 2 << 20
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 1 << 30
	}
	if c.MaxPosted <= 0 {
		c.MaxPosted = 64 << 20
	}
	if c.TurnMessages <= 0 {
		c.TurnMessages = 1024
	}
	if c.TurnBytes <= 0 {
		c.TurnBytes = 512 << 10
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 2 * time.Minute
	}
	if c.SlowGrace <= 0 {
		c.SlowGrace = 5 * time.Second
	}
	if c.Linger <= 0 {
		c.Linger = 2 * time.Second
	}
	if c.ShutdownTimeout <= 0 {
		c.ShutdownTimeout = 4 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Engine serves connections on event loops. Its methods may be called from any goroutine.
type Engine struct {
	config  Config
	backend driver.Backend
	loops   []*loop

	mu         sync.Mutex
	running    bool // Run was called
	stopping   bool // Shutdown or Close was called
	listeners  int
	turning    int                     // loops that have not ended
	onShutdown []func(context.Context) // not called yet
	ending     context.Context         // for these; it ends with hurry
	hurry      context.CancelFunc
	left       int           // loops that have not ended, and functions of OnShutdown that have not returned
	done       chan struct{} // closed when they all have
	cut        atomic.Int64  // connections that Close cut
	inspecting chan struct{} // full while Inspect is under way
	buffered   atomic.Int64  // bytes of all connections' buffers, as of each loop's last turn
	err        error         // of a driver
}

// New makes an engine with its loops, which begin to turn in Run.
func New(c Config) (*Engine, error) { return newEngine(c, platform) }

func newEngine(c Config, b driver.Backend) (*Engine, error) {
	for _, cpu := range c.CPUs {
		if err := mayBind(cpu); err != nil {
			return nil, fmt.Errorf("engine: Config.CPUs: %w", err)
		}
	}
	e := &Engine{config: c.withDefaults(), backend: b, done: make(chan struct{}), inspecting: make(chan struct{}, 1)}
	for i := range e.config.Loops {
		d, err := b.Open()
		if err != nil {
			for _, l := range e.loops {
				l.driver.Shut()
			}
			return nil, fmt.Errorf("engine: %w", err)
		}
		e.loops = append(e.loops, newLoop(e, i, d))
	}
	e.turning, e.left = len(e.loops), len(e.loops)
	e.ending, e.hurry = context.WithCancel(context.Background())
	return e, nil
}

// Loops is the number of loops.
func (e *Engine) Loops() int { return len(e.loops) }

// place takes a new connection from loop l to the one that is to serve it; it stays on l if l or that loop is ending.
func (e *Engine) place(fd int, ln *Listener, caller *caller, l *loop) {
	to := l
	if !l.stopping {
		to = e.choose(fd, ln, l)
	}
	to.load.Add(1)
	if to != l {
		n := newTask(adoptTask)
		n.Value.fd, n.Value.listener, n.Value.caller = fd, ln, caller
		if to.push(n) == nil {
			return
		}
		l.load.Add(1)
	}
	l.adopt(fd, ln, caller, nil)
}

// choose is the loop for a new connection: the one that has the fewest, l if that has no more.
func (e *Engine) choose(fd int, ln *Listener, l *loop) *loop {
	if ln.config.FollowCPU && len(e.config.CPUs) > 0 {
		cpu := l.driver.IncomingCPU(fd)
		for i, o := range e.loops {
			if e.config.CPUs[i%len(e.config.CPUs)] == cpu {
				return o
			}
		}
	}
	if o := e.leastLoaded(); o.load.Load() < l.load.Load() {
		return o
	}
	return l
}

// Post has f called on loop number loop (see Conn.Loop), in the order of posting. The error is ErrClosed when the engine
// has ended. A panic in f is logged.
func (e *Engine) Post(loop int, f func()) error { return e.loops[loop].do(f) }

// do has f called on the loop.
func (l *loop) do(f func()) error {
	n := newTask(runTask)
	n.Value.run = f
	return l.push(n)
}

// Run turns the loops until Shutdown or Close has ended them all, or ctx is cancelled: then Run calls Shutdown itself,
// with Config.ShutdownTimeout. It returns nil if every connection ended in order; Shutdown's error; or what broke a
// driver. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running || e.stopping {
		e.mu.Unlock()
		return ErrClosed
	}
	e.running = true
	for _, l := range e.loops {
		go l.run()
	}
	e.mu.Unlock()
	select {
	case <-e.done:
		return e.err
	case <-ctx.Done():
	}
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.ShutdownTimeout)
	defer cancel()
	return errors.Join(e.Shutdown(limited), e.err)
}

// Shutdown ends the engine in order. It stops accepting at once, tells each connection's Shutdowner or else closes the
// connection with ErrShutdown, flushed, and returns when all have ended. When ctx ends before that, the rest is cut as
// by Close, and the error says how many connections that were and wraps ctx's.
func (e *Engine) Shutdown(ctx context.Context) error {
	e.stop((*loop).stopOrderly)
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		e.Close()
		if n := e.cut.Load(); n > 0 {
			return fmt.Errorf("engine: shutdown cut %d connections: %w", n, context.Cause(ctx))
		}
		return nil
	}
}

// Close ends the engine at once: listeners are closed and connections aborted, with ErrShutdown as the reason. It returns
// when every loop has ended; called on a loop it would wait for itself.
func (e *Engine) Close() error {
	e.stop((*loop).stopAtOnce)
	e.hurry()
	<-e.done
	return e.err
}

// stop has every loop begin to end. An engine that never ran ends here.
func (e *Engine) stop(how func(*loop)) {
	e.mu.Lock()
	ran := e.running
	first := !e.stopping
	if first {
		e.beginEnd()
	}
	e.mu.Unlock()
	for _, l := range e.loops {
		switch {
		case ran:
			l.do(func() { how(l) }) // the error is that it has ended
		case first:
			for l.stopping = true; !l.tasks.Empty(); {
				l.runTasks()
			}
			l.shut()
		}
	}
}

// loopDone is the last word of loop l.
func (e *Engine) loopDone(l *loop) {
	e.mu.Lock()
	if l.driverErr != nil {
		e.err = errors.Join(e.err, fmt.Errorf("engine: loop %d: %w", l.index, l.driverErr))
	}
	if e.turning--; e.turning == 0 && !e.stopping {
		e.hurry()
		e.beginEnd()
	}
	e.mu.Unlock()
	e.oneEnded()
}
