package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/internal/driver"
)

// Engine serves connections on event loops. Its methods may be called from any goroutine, before
// Run as well, except where a method says that a loop must not call it. Use New to make one; the
// zero Engine is not usable.
type Engine struct {
	config  Config
	backend driver.Backend
	loops   []*loop

	mu          sync.Mutex
	running     bool          // Run was called
	started     chan struct{} // closed when running is set
	stopping    bool          // Shutdown or Close was called
	stopBegun   chan struct{} // closed when stopping is set
	listeners   int
	loopsLeft   int                     // loops that have not ended
	onShutdown  []func(context.Context) // not called yet
	farewells   map[uint64]bool         // the goroutines that run functions of OnShutdown
	stopContext context.Context         // for onShutdown; it ends with cancelStop
	cancelStop  context.CancelFunc
	waiting     int           // loops and functions of OnShutdown that have not ended
	done        chan struct{} // closed when waiting is 0
	turned      chan struct{} // closed when loopsLeft is 0
	broken      chan struct{} // closed when the driver of a loop has failed
	reserving   sync.Mutex    // see reserve
	// closed when Close was called, or the context of a Shutdown has ended
	cutting    chan struct{}
	ending     atomic.Bool   // the tasks of Shutdown or Close are on their way to the loops
	cutCause   error         // of the first of these
	cut        atomic.Int64  // connections that were aborted for it
	inspecting chan struct{} // full while Inspect is running
	buffered   atomic.Int64  // bytes of all connections' buffers, as of each loop's last turn
	watchdog   watchdog
	moves      moves // what a Handover needs
	err        error // of a driver
}

// New returns an engine with its loops, which start in Run. An engine that is never run must be
// closed: its loops hold descriptors. The error is limits of c that contradict each other, or what
// keeps a loop from being made, such as
// EMFILE or a processor of Config.CPUs that may not be used.
func New(c Config) (*Engine, error) { return newEngine(c, platform) }

func newEngine(c Config, b driver.Backend) (*Engine, error) {
	for _, cpu := range c.CPUs {
		if err := mayBind(cpu); err != nil {
			return nil, fmt.Errorf("engine: Config.CPUs: %w", err)
		}
	}
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	c.Logger = guarded(c.Logger)
	e := &Engine{config: c, backend: b, started: make(chan struct{}), stopBegun: make(chan struct{}),
		done: make(chan struct{}), turned: make(chan struct{}), cutting: make(chan struct{}),
		broken:     make(chan struct{}),
		inspecting: make(chan struct{}, 1)}
	for i := range e.config.Loops {
		poller, sockets, err := b.Open()
		if err != nil {
			for _, l := range e.loops {
				l.poller.Shut()
			}
			return nil, fmt.Errorf("engine: %w", err)
		}
		e.loops = append(e.loops, newLoop(e, i, poller, sockets))
	}
	e.loopsLeft, e.waiting = len(e.loops), len(e.loops)
	e.stopContext, e.cancelStop = context.WithCancel(context.Background())
	return e, nil
}

// Loops returns the number of loops.
func (e *Engine) Loops() int { return len(e.loops) }

// Run runs the loops until Shutdown or Close has ended them all. When ctx is cancelled, or when the
// driver of a loop has failed, Run calls Shutdown itself, with Config.ShutdownTimeout. It returns
// nil if every connection ended in order. Otherwise the error says how many were cut, and wraps the
// cause of the context of Shutdown, or ErrClosed if that was Close; or it is the error that broke a
// driver. A loop that a callback blocks does not keep Run from returning: see Shutdown. Run may be
// called once; after that, or after Shutdown or Close, it returns ErrClosed.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running || e.stopping {
		e.mu.Unlock()
		return ErrClosed
	}
	e.running = true
	close(e.started)
	e.startWatchdog()
	for _, l := range e.loops {
		go l.run()
	}
	e.mu.Unlock()
	var err error
	select {
	case <-e.done:
		err = e.cutError()
	case <-e.cutting:
		if err = e.awaitEnd(e.done); err == nil {
			err = e.cutError()
		} else {
			err = fmt.Errorf("engine: run: %w", err)
		}
	case <-ctx.Done():
		err = e.shutdownAfterRun(ctx)
	case <-e.broken:
		err = e.shutdownAfterRun(ctx)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.moves.gone {
		if err == nil && e.err == nil {
			return ErrHandedOver
		}
		return errors.Join(ErrHandedOver, err, e.err)
	}
	return errors.Join(err, e.err)
}

// shutdownAfterRun is the Shutdown of Run.
func (e *Engine) shutdownAfterRun(ctx context.Context) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.config.ShutdownTimeout)
	defer cancel()
	return e.Shutdown(limited)
}

// Started returns a channel that is closed when the engine's loops run, or have run: when Run,
// Shutdown or Close is called. Until then nothing happens to what Listen, Dial, Adopt and Post were
// given. It may be called from any goroutine.
func (e *Engine) Started() <-chan struct{} { return e.started }

// Post calls f on loop number loop (see Conn.Loop), in the order of posting. A panic in f is
// logged. The error is ErrClosed if the engine has ended, or says that there is no such loop.
func (e *Engine) Post(loop int, f func()) error {
	if err := checkFunc("post", "f", f == nil); err != nil {
		return err
	}
	l, err := e.loop(loop)
	if err != nil {
		return err
	}
	return l.do(f)
}

// PostTurn is Post for a part of a long job: no other posted function runs after f in the same turn
// of the loop. So an f that posts the next part by PostTurn lets connections have their turn in
// between. A part should serve at most a few hundred connections.
func (e *Engine) PostTurn(loop int, f func()) error {
	if err := checkFunc("post", "f", f == nil); err != nil {
		return err
	}
	l, err := e.loop(loop)
	if err != nil {
		return err
	}
	return l.doAs(turnTask, f)
}

// loop returns loop number i.
func (e *Engine) loop(i int) (*loop, error) {
	if i < 0 || i >= len(e.loops) {
		return nil, fmt.Errorf("engine: no loop %d: this engine has %d, from 0 on", i, len(e.loops))
	}
	return e.loops[i], nil
}

// connections returns the number of connections of all loops, including those on their way to a
// loop.
func (e *Engine) connections() (n int) {
	for _, l := range e.loops {
		n += int(l.load.Load())
	}
	return n
}
