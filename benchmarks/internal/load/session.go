package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/handshake"
)

// Session is a set of connections to one server, and the loops that serve them. Run uses one. Use
// it directly to measure step by step. Its methods must be called by one goroutine at a time.
type Session struct {
	cfg      Config
	message  *message
	engine   *engine.Engine
	workers  []*worker
	base     time.Time
	loopback bool // the server's address is IPv4 loopback
	opening  handshake.Opening
	key      handshake.ClientKey // the same in every handshake, which is all right with servers
	requests map[string][]byte   // opening handshakes by path
	ended    chan struct{}

	open    atomic.Int64 // number of open connections
	closing atomic.Bool
	sender  *conn  // the connection that broadcasts; nil: it is not open yet
	sent    uint32 // number of broadcasts; only the sender's loop uses it

	mu       sync.Mutex // guards the fields below
	failures int
	first    error
}

// NewSession makes a Session for c.Conns connections and opens none yet. It ignores the fields of c
// that are about what to measure and for how long.
func NewSession(c Config) (*Session, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	s := &Session{cfg: c, base: time.Now(), key: handshake.NewClientKey(), ended: make(chan struct{})}
	if a, err := netip.ParseAddrPort(c.Addr); err == nil {
		s.loopback = a.Addr().Is4() && a.Addr().IsLoopback()
	}
	if err := s.prepareHandshakes(); err != nil {
		return nil, err
	}
	var err error
	if s.message, err = newMessage(&c, c.InFlight); err != nil {
		return nil, err
	}
	// All that is in flight may be queued here, and we must go on reading then: an echo server does
	// not read while we do not.
	queued := 2*c.InFlight*s.message.frame + 1<<20
	s.engine, err = engine.New(engine.Config{
		Loops: c.Loops, MaxOutbound: queued, HighWater: queued, MaxBuffered: -1, MaxInbound: queued,
	})
	if err != nil {
		return nil, err
	}
	for i := range c.Loops {
		s.workers = append(s.workers, newWorker(s, i))
	}
	go func() {
		s.engine.Run(context.Background())
		close(s.ended)
	}()
	return s, nil
}

// prepareHandshakes makes the opening handshake for each path.
func (s *Session) prepareHandshakes() error {
	s.opening.Host = s.cfg.Addr
	if s.cfg.Compress {
		s.opening.Deflate = &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
	}
	s.requests = make(map[string][]byte)
	for _, path := range []string{s.cfg.Path, broadcastPath} {
		s.opening.Target = path
		request, err := s.opening.AppendRequest(nil, s.key)
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
		s.requests[path] = request
	}
	return nil
}

// prepare sets defaults, and checks c.
func (c *Config) prepare() error {
	if c.Path == "" {
		c.Path = "/"
	}
	c.InFlight, c.Opening, c.Loops = max(c.InFlight, 1), max(c.Opening, 0), max(c.Loops, 1)
	if c.Opening == 0 {
		c.Opening = 512
	}
	if c.Messages == 0 {
		c.Messages = 1
	}
	if c.Begin == nil {
		c.Begin = func() error { return nil }
	}
	if c.End == nil {
		c.End = func() error { return nil }
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	switch {
	case c.Protocol != "ws" && c.Protocol != "tcp":
		return fmt.Errorf("load: unknown protocol %q: want ws or tcp", c.Protocol)
	case c.Protocol == "tcp" && (c.Compress || c.Text):
		return errors.New("load: TCP has neither text messages nor compression: use ws")
	case c.Size < 0 || c.Size == 0 && c.Protocol == "tcp":
		return fmt.Errorf("load: size %d: a message needs at least one byte", c.Size)
	case c.Conns < 1:
		return fmt.Errorf("load: %d connections: want at least 1", c.Conns)
	case c.Rate < 0 || c.Ramp < 0:
		return errors.New("load: negative rate")
	}
	var limit syscall.Rlimit
	const others = 32 // descriptors of this process that are not connections
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil && uint64(c.Conns)+others > limit.Cur {
		return fmt.Errorf("load: %d connections need as many open files, and the limit is %d: raise it (ulimit -n)",
			c.Conns, limit.Cur)
	}
	return nil
}

// now returns the time since the session began, in nanoseconds.
func (s *Session) now() int64 { return int64(time.Since(s.base)) }

// Open opens n more connections and returns when each is open or has failed. It fails if nothing
// happens for Config.Timeout, or if ctx ends.
func (s *Session) Open(ctx context.Context, n int) error {
	return s.wait(ctx, s.newOpener(s.cfg.Path, int64(n), nil))
}

// wait lets an opener do its work.
func (s *Session) wait(ctx context.Context, o *opener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.cfg.Ramp > 0 {
		o.ramped = true
		go o.ramp(ctx, s.cfg.Ramp)
	} else {
		o.begin(s.cfg.Opening)
	}
	// A connection that exceeds Timeout fails with a better reason than errStalled, so wait longer.
	err := s.watch(ctx, o.done, 2*s.cfg.Timeout, func() (uint64, error) { return uint64(o.finished.Load()), nil })
	if err != nil {
		o.stopped.Store(true)
		return fmt.Errorf("load: opening connections, %d of %d done, %d failed: %w",
			o.finished.Load(), o.total, s.Failed(), err)
	}
	return nil
}

var errStalled = errors.New("nothing happened")

// watch waits for done. It fails if progress returns an error, or the same number for longer than
// patience.
func (s *Session) watch(
	ctx context.Context, done <-chan struct{}, patience time.Duration, progress func() (uint64, error),
) error {
	const step = 50 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	last, since := uint64(0), time.Now()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		now, err := progress()
		if err != nil {
			return err
		}
		if now != last {
			last, since = now, time.Now()
		} else if time.Since(since) > patience {
			return fmt.Errorf("%w for %v", errStalled, patience)
		}
	}
}

// ServedBy tells that another process serves the connections now, which has taken over from the one
// before: its processor time counts from now on.
func (s *Session) ServedBy(pid int) { s.cfg.ServerPID = pid }

// Opened returns the number of connections that are open.
func (s *Session) Opened() int { return int(s.open.Load()) }

// Failed returns the number of connections that could not be opened, or that ended by themselves.
func (s *Session) Failed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures
}

// FirstError returns the reason of the first connection that failed, or nil if none has.
func (s *Session) FirstError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

func (s *Session) failed(err error) {
	if s.closing.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failures++; s.first == nil {
		s.first = err
	}
}

// closed must be called when a connection that was open is closed.
func (s *Session) closed(c *conn, err error) {
	s.open.Add(-1)
	if c.flags&leaving == 0 {
		s.failed(fmt.Errorf("connection ended: %w", err))
	}
}

// Close closes all connections at once.
func (s *Session) Close() {
	s.closing.Store(true)
	s.engine.Close()
	<-s.ended
}

// each calls f for every worker, on its loop, and waits until all calls have returned.
func (s *Session) each(ctx context.Context, f func(*worker)) error {
	var all sync.WaitGroup
	for _, w := range s.workers {
		all.Add(1)
		err := s.engine.Post(w.loop, func() {
			defer all.Done()
			f(w)
		})
		if err != nil {
			return fmt.Errorf("load: %w", err)
		}
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-s.ended:
		return errors.New("load: the engine has ended")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
