package gnet

import (
	"context"
	"net"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// runner runs an EventHandler on an engine. It is what an Engine or a Client stands for.
type runner struct {
	engine      *engine.Engine
	handler     EventHandler
	options     *Options
	timeout     time.Duration // of the engine's Shutdown
	listeners   []*listener
	connections atomic.Int64
	stopping    chan struct{} // closed when the engine is to end
	stopOnce    sync.Once
	done        chan struct{} // closed when it has ended
	err         error         // of its Run, once done is closed
}

// newRunner makes an engine that is c, with what opts change.
func newRunner(c engine.Config, h EventHandler, opts []Option) (*runner, error) {
	o := new(Options)
	for _, set := range opts {
		set(o)
	}
	logger, err := newLogger(o)
	if err != nil {
		return nil, err
	}
	switch {
	case o.NumEventLoop > 0:
		c.Loops = o.NumEventLoop
	case o.Multicore:
		c.Loops = runtime.GOMAXPROCS(0)
	case c.Loops == 0:
		c.Loops = 1
	}
	if o.ReadBufferCap > 0 {
		c.TurnBytes = o.ReadBufferCap
	}
	if c.Logger == nil {
		c.Logger = logger
	}
	if c.ShutdownTimeout == 0 {
		c.ShutdownTimeout = 4 * time.Second // the engine's default
	}
	e, err := engine.New(c)
	if err != nil {
		return nil, err
	}
	if o.LockOSThread {
		for i := range e.Loops() {
			e.Post(i, runtime.LockOSThread)
		}
	}
	return &runner{
		engine:   e,
		handler:  h,
		options:  o,
		timeout:  c.ShutdownTimeout,
		stopping: make(chan struct{}),
		done:     make(chan struct{}),
	}, nil
}

// stop makes run end the engine. Any goroutine may call it.
func (r *runner) stop() { r.stopOnce.Do(func() { close(r.stopping) }) }

func (r *runner) isStopped() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// run runs the engine until stop is called, or it fails.
func (r *runner) run() error {
	ended := make(chan error, 1)
	go func() {
		ended <- r.engine.Run(context.Background())
		r.stop()
	}()
	<-r.engine.Started() // or Run would return an error if Stop is faster
	var ticker sync.WaitGroup
	if r.options.Ticker {
		ticker.Go(r.tick)
	}
	<-r.stopping
	r.guarded("OnShutdown", func() { r.handler.OnShutdown(Engine{r}) })
	ctx, cancel := context.WithTimeout(context.Background(), r.timeout)
	defer cancel()
	r.engine.Shutdown(ctx) // Run returns the same error
	r.err = <-ended
	ticker.Wait()
	close(r.done)
	return r.err
}

// tick calls OnTick until stop is called.
func (r *runner) tick() {
	<-r.engine.Started()
	delay := time.Second // also behind a first call that panics
	for {
		action := None
		r.guarded("OnTick", func() { delay, action = r.handler.OnTick() })
		if action == Shutdown {
			r.stop()
		}
		timer := time.NewTimer(delay)
		select {
		case <-r.stopping:
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// guarded calls f, a callback that no loop calls, and logs a panic in it. f has a goroutine of its
// own: runtime.Goexit must not end the one that ends the engine.
func (r *runner) guarded(name string, f func()) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		returned := false
		defer func() {
			if returned {
				return
			}
			v := recover()
			if v == nil {
				v = "runtime.Goexit"
			}
			r.logPanic(name, v)
		}()
		f()
		returned = true
	}()
	<-ended
}

// logPanic logs the value of a panic. If that, or the Logger, panics, the message is lost.
func (r *runner) logPanic(name string, v any) {
	defer func() { recover() }()
	r.logger().Errorf("panic in %s: %v\n%s", name, v, debug.Stack())
}

// setOptions sets the options of a connection that it does not inherit: from its listener, if there
// is one. An error means that the connection is already closed.
func (r *runner) setOptions(ec *engine.Conn, remote net.Addr, listened bool) {
	o := r.options
	if !listened && o.SocketRecvBuffer > 0 {
		ec.SetReadBuffer(o.SocketRecvBuffer)
	}
	if !listened && o.SocketSendBuffer > 0 {
		ec.SetWriteBuffer(o.SocketSendBuffer)
	}
	if _, tcp := remote.(*net.TCPAddr); !tcp {
		return
	}
	if o.TCPNoDelay == TCPDelay {
		ec.SetNoDelay(false)
	}
	if o.TCPKeepAlive > 0 && !(listened && inheritsKeepAlive) {
		if rc, err := ec.SyscallConn(); err == nil {
			rc.Control(func(fd uintptr) { r.setKeepAlive(int(fd)) })
		}
	}
}

// inheritsKeepAlive reports whether connections inherit their listener's probes.
var inheritsKeepAlive = runtime.GOOS == "linux" || runtime.GOOS == "freebsd" || runtime.GOOS == "dragonfly"
