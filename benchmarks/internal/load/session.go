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

// Session is a set of connections to one server, and the loops that serve them. Run makes one for itself; who wants to go
// step by step uses it as it is. Its methods are for one goroutine.
type Session struct {
	cfg      Config
	message  *message
	engine   *engine.Engine
	workers  []*worker
	base     time.Time
	loopback bool // the server's address is IPv4's
	opening  handshake.Opening
	key      handshake.ClientKey // of every handshake: for the server it makes no difference
	paths    map[string][]byte   // requests by path
	ended    chan struct{}

	open    atomic.Int64 // connections
	closing atomic.Bool
	sender  *conn

	mu       sync.Mutex // guards what follows
	failures int
	first    error
}

// NewSession makes a Session for c.Conns connections, none of which is opened yet. Of c it uses what says whom to connect to and
// how, Conns, Size, Text and InFlight.
func NewSession(c Config) (*Session, error) {
	if err := c.prepare(); err != nil {
		return nil, err
	}
	s := &Session{cfg: c, base: time.Now(), key: handshake.NewClientKey(), paths: map[string][]byte{}, ended: make(chan struct{})}
	if a, err := netip.ParseAddrPort(c.Addr); err == nil {
		s.loopback = a.Addr().Is4() && a.Addr().IsLoopback()
	}
	s.opening.Host = c.Addr
	if c.Compress {
		s.opening.Deflate = &wsproto.Deflate{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
	}
	for _, path := range []string{c.Path, broadcastPath} {
		s.opening.Target = path
		request, err := s.opening.AppendRequest(nil, s.key)
		if err != nil {
			return nil, fmt.Errorf("load: %w", err)
		}
		s.paths[path] = request
	}
	var err error
	if s.message, err = newMessage(&c, c.InFlight); err != nil {
		return nil, err
	}
	// What is in flight may all have to wait here, and a connection must be read from all the same: an echo server stops reading
	// while we do not.
	queued := 2*c.InFlight*s.message.frame + 1<<20
	s.engine, err = engine.New(engine.Config{Loops: c.Loops, MaxOutbound: queued, HighWater: queued, MaxBuffered: -1, MaxInbound: queued})
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

// prepare fills defaults in, and refuses what cannot be.
func (c *Config) prepare() error {
	if c.Path == "" {
		c.Path = "/"
	}
	c.InFlight, c.Opening, c.Loops = max(c.InFlight, 1), max(c.Opening, 0), max(c.Loops, 1)
	if c.Opening == 0 {
		c.Opening = 512
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	switch {
	case c.Protocol != "ws" && c.Protocol != "tcp":
		return fmt.Errorf("load: protocol %q: it is ws or tcp", c.Protocol)
	case c.Protocol == "tcp" && (c.Compress || c.Text):
		return errors.New("load: bare TCP has neither text nor compression: use ws")
	case c.Size < 0 || c.Size == 0 && c.Protocol == "tcp":
		return fmt.Errorf("load: size %d: a message needs a byte", c.Size)
	case c.Conns < 1:
		return fmt.Errorf("load: %d connections", c.Conns)
	case c.Rate < 0 || c.Ramp < 0:
		return errors.New("load: a rate is not negative")
	}
	var limit syscall.Rlimit
	const further = 32 // descriptors that the process has besides
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err == nil && uint64(c.Conns)+further > limit.Cur {
		return fmt.Errorf("load: %d connections need as many open files and the limit is %d: raise it (ulimit -n)", c.Conns, limit.Cur)
	}
	return nil
}

// request is the opening handshake for a path.
func (s *Session) request(path string) []byte { return s.paths[path] }

// now is the time since the session began, in nanoseconds.
func (s *Session) now() int64 { return int64(time.Since(s.base)) }

// Open opens n more connections, as the configuration says, and returns when each is open or has failed. The error says that it
// stopped before: nothing happened for Config.Timeout, or ctx ended.
func (s *Session) Open(ctx context.Context, n int) error {
	return s.wait(ctx, s.newOpener(s.cfg.Path, int64(n), nil))
}

// wait has an opener do its work.
func (s *Session) wait(ctx context.Context, o *opener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if s.cfg.Ramp > 0 {
		o.ramped = true
		go o.ramp(ctx, s.cfg.Ramp)
	} else {
		o.begin(s.cfg.Opening)
	}
	// Each connection has Timeout for itself, whose end says more than that nothing happens.
	err := s.watch(ctx, o.done, 2*s.cfg.Timeout, func() (uint64, error) { return uint64(o.finished.Load()), nil })
	if err != nil {
		o.stopped.Store(true)
		return fmt.Errorf("load: opening connections, %d of %d done, %d failed: %w", o.finished.Load(), o.total, s.Failed(), err)
	}
	return nil
}

var errStalled = errors.New("nothing happens")

// watch waits for done, for as long as progress changes at least once in the given time, and has no error.
func (s *Session) watch(ctx context.Context, done <-chan struct{}, patience time.Duration, progress func() (uint64, error)) error {
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
			return fmt.Errorf("%w: not for %v", errStalled, patience)
		}
	}
}

// Opened is the number of connections that are open, and Failed of those that could not be opened, or ended by themselves.
func (s *Session) Opened() int { return int(s.open.Load()) }

// Failed: see Opened.
func (s *Session) Failed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures
}

// FirstError is the reason of the first connection that failed; nil if none has.
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

// closed is called for a connection that was open.
func (s *Session) closed(c *conn, err error) {
	s.open.Add(-1)
	if c.flags&leaving == 0 {
		s.failed(fmt.Errorf("connection ended: %w", err))
	}
}

// Close ends all connections at once.
func (s *Session) Close() {
	s.closing.Store(true)
	s.engine.Close()
	<-s.ended
}

// each has f called for every worker, on its loop, and waits for that.
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
