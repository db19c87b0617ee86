package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/tlslayer"
)

// patience is how long anything may take. The machine may be busy.
const patience = time.Minute

// generation is one engine with its peers.
type generation struct {
	*world
	number int
	seed   uint64
	eng    *engine.Engine
	layer  *tlslayer.Layer
	ran    chan error // the result of Run

	plain, secure, frail string // addresses of the TCP echo; frail: its accept panics
	ws, wss, wildWS      string // of WebSockets; wildWS: whose callbacks panic
	packets              string
	web                  *http.Server // which upgrades
	webAddress           string
	raw                  net.Listener // whose connections are adopted
	clients              *tlslayer.Layer
	room, slow           room

	stop    chan struct{} // peers begin nothing more
	ending  atomic.Bool   // errors are no surprise
	peers   sync.WaitGroup
	helpers sync.WaitGroup // goroutines of servers
	byes    atomic.Int32   // functions of OnShutdown that were called
	cuts    sync.Map       // by the address of a slow peer, a channel for the reason of its end
	mu      sync.Mutex
	active  map[string]int // peers that have not returned
}

// wrong is an error that nothing excuses.
type wrong struct{ error }

func wrongf(format string, args ...any) error { return wrong{fmt.Errorf(format, args...)} }

func newGeneration(w *world, number int, seed uint64) *generation {
	g := &generation{world: w, number: number, seed: seed, stop: make(chan struct{}), ran: make(chan error, 1),
		active: make(map[string]int)}
	var err error
	g.eng, err = engine.New(engine.Config{
		Loops: 1 + number%3, Logger: w.log, BlockedAfter: -1, Linger: 10 * time.Second,
		SlowGrace: 100 * time.Millisecond, MaxBuffered: 64 << 20, Observer: observer(),
	})
	g.must(err)
	g.must(g.serve())
	for range 2 {
		g.must(g.eng.OnShutdown(func(context.Context) {
			g.byes.Add(1)
			panic("OnShutdown")
		}))
	}
	return g
}

func (g *generation) must(err error) {
	g.Helper()
	if err != nil {
		g.Fatal(err)
	}
}

// run lets peers come, and ends the engine as end says. It returns a function that reports whether
// the engine was collected.
func (g *generation) run(end ending) (gone func() bool) {
	pointer := weak.Make(g.eng)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { g.ran <- g.eng.Run(ctx) }()
	<-g.eng.Started()
	g.begin()
	rng := rand.New(rand.NewPCG(g.seed, 1))
	<-time.After(time.Duration(rng.Int64N(int64(g.longest)))) // some end before anything has begun
	if end.quiet {
		close(g.stop)
		g.await(&g.peers)
		g.awaitRest()
	}
	g.ending.Store(true)
	if err := end.how(g, cancel); err != nil {
		g.Errorf("generation %d, %s: %v", g.number, end.name, err)
	}
	if !end.quiet {
		close(g.stop)
	}
	g.closeServers()
	g.await(&g.peers)
	g.await(&g.helpers)
	cancel()
	if n := g.byes.Load(); n != 2 {
		g.Errorf("generation %d, %s: %d of 2 functions of OnShutdown were called", g.number, end.name, n)
	}
	return func() bool { return pointer.Value() == nil }
}

// ending is a way to end an engine.
type ending struct {
	name  string
	quiet bool // no peer is left when it begins
	how   func(g *generation, cancel func()) error
}

var ends = []ending{
	{"Shutdown without peers", true, func(g *generation, _ func()) error {
		return errors.Join(g.shutdown(patience), <-g.ran)
	}},
	{"Shutdown with peers", false, func(g *generation, _ func()) error {
		return errors.Join(g.shutdown(patience), <-g.ran)
	}},
	{"Close without peers", true, func(g *generation, _ func()) error { return errors.Join(g.eng.Close(), <-g.ran) }},
	{"Close", false, func(g *generation, _ func()) error {
		return errors.Join(g.eng.Close(), g.cutRun(engine.ErrClosed))
	}},
	{"cancelled Run without peers", true, func(g *generation, cancel func()) error {
		cancel()
		return <-g.ran
	}},
	{"cancelled Run", false, func(g *generation, cancel func()) error {
		cancel()
		return g.cutRun(context.DeadlineExceeded)
	}},
	{"Shutdown without time", false, func(g *generation, _ func()) error {
		err := g.shutdown(time.Millisecond)
		if errors.Is(err, context.DeadlineExceeded) {
			err = nil
		}
		return errors.Join(err, g.cutRun(context.DeadlineExceeded))
	}},
	{"Close during Shutdown", false, func(g *generation, _ func()) error {
		over := make(chan error)
		go func() { over <- g.shutdown(patience) }()
		err := g.eng.Close()
		if e := <-over; !errors.Is(e, engine.ErrClosed) {
			err = errors.Join(err, e)
		}
		return errors.Join(err, g.cutRun(engine.ErrClosed))
	}},
}

func (g *generation) shutdown(d time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	return g.eng.Shutdown(ctx)
}

// cutRun returns the result of Run, unless it is that connections were cut because of cause.
func (g *generation) cutRun(cause error) error {
	if err := <-g.ran; !errors.Is(err, cause) {
		return err
	}
	return nil
}

// awaitRest waits until nothing is left of peers that have gone.
func (g *generation) awaitRest() {
	var s engine.Stats
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if s, err = g.eng.Stats(context.Background()); err != nil {
			g.Errorf("Stats: %v", err)
			return
		}
		y, z := g.layer.Stats(), g.clients.Stats()
		if s.Connections|s.Buffers|s.Buffered|s.Held|s.Timers|s.Tasks|s.Posted|s.Sessions == 0 &&
			y.Open|y.HeldBytes|z.Open|z.HeldBytes == 0 {
			return
		}
	}
	g.Errorf("generation %d: without peers there are %d connections, %d chunks, %d bytes buffered, %d held, "+
		"%d timers, %d tasks, %d bytes posted, %d sessions; handshakes %+v, %+v", g.number, s.Connections,
		s.Buffers, s.Buffered, s.Held, s.Timers, s.Tasks, s.Posted, s.Sessions, g.layer.Stats(), g.clients.Stats())
}

// peer runs f again and again, until the generation stops.
func (g *generation) peer(name string, f func(rng *rand.Rand) error) {
	id := g.enter(name)
	go func() {
		defer g.leave(name)
		rng := rand.New(rand.NewPCG(g.seed, id))
		for !g.stopped() {
			if err := f(rng); err != nil {
				g.fault(name, err)
				return
			}
			g.happened(name)
		}
	}()
}

// fault reports an error of a peer, unless the end of the engine excuses it.
func (g *generation) fault(name string, err error) {
	if g.ending.Load() && !errors.As(err, new(wrong)) {
		return
	}
	g.Errorf("generation %d: %s: %v", g.number, name, err)
	if isTimeout(err) {
		i, err := g.eng.Inspect(context.Background(), 100*time.Millisecond, 20)
		g.Logf("the engine then: %+v, error %v; goroutines:\n%s", i, err, stacks())
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) && e.Timeout()
}

func (g *generation) stopped() bool {
	select {
	case <-g.stop:
		return true
	default:
		return g.Failed()
	}
}

// enter counts a peer, and returns a number for it.
func (g *generation) enter(name string) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.peers.Add(1)
	g.active[name]++
	return uint64(100 + len(name) + 10*g.active[name] + int(name[0])<<10)
}

func (g *generation) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.active[name]--; g.active[name] == 0 {
		delete(g.active, name)
	}
	g.peers.Done()
}

// await waits until all of a group have returned.
func (g *generation) await(group *sync.WaitGroup) {
	done := make(chan struct{})
	go func() {
		group.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(2 * patience):
		g.mu.Lock()
		defer g.mu.Unlock()
		g.Fatalf("generation %d: these do not return: %v\n%s", g.number, g.active, stacks())
	}
}

// stacks returns those of all goroutines.
func stacks() []byte {
	b := make([]byte, 1<<20)
	return b[:runtime.Stack(b, true)]
}
