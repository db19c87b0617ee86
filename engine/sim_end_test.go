package engine_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestSimulatedEnd: an engine ends while posts, dials, look-ups and adopted connections are in
// flight and peers keep coming. Every call of user code may ask for more, release its connection,
// panic or end its goroutine: see call in sim_end_calls_test.go. What was accepted is run, or told,
// once, before the engine has ended; what was not is neither. After Close the end is reached in a
// number of turns that what there was to tell limits.
func TestSimulatedEnd(t *testing.T) {
	simulate(t, seeds(t), func(tr *trial) (err error) {
		synctest.Test(t, func(*testing.T) { err = simulation(end).run(tr) })
		return err
	})
}

// accepted is what was asked of an engine, and how often that was run or told.
type accepted struct {
	what  string
	taken bool
	told  int
}

// ending is one run of TestSimulatedEnd.
type ending struct {
	rng      *rand.Rand
	eng      *engine.Engine
	ctx      context.Context
	asked    []*accepted
	failed   error
	net      *sim.Network
	ln       *engine.Listener
	peers    []*sim.Peer
	guests   []*guest
	storm    int // peers that come in each turn about the last one
	last     int // the turn in which the listener is closed
	panics   int // of user code since Close began, or goroutines that it has ended
	turn     int
	abrupt   int // the turn in which Close began; 0: it did not
	requests int
	cut      int             // connections that were told so
	places   []*engine.Place // that connections have left behind
	ending   bool

	flood   bool // whenever a connection is accepted, the next peer comes
	quiet   bool // the same, and no call does anything until a listener should accept no more
	accepts int  // of the network, when the turn began
	before  int  // the same, when the end was asked for
	orphans int  // connections that may be cut without being told so
}

func end(tr *trial) error {
	ctx, cancel := context.WithCancel(context.Background())
	lookedUp := func() { time.Sleep(time.Hour); synctest.Wait() }
	defer lookedUp()
	defer cancel()
	w := &ending{rng: rand.New(rand.NewPCG(tr.seed, 23)), ctx: ctx}
	since := time.Now()
	network := tr.network(sim.Config{Faults: sim.DrawFaults(tr.seed)})
	w.net = network
	network.Remote(func(p *sim.Peer) bool { return p.Local().Addr().As4()[3]%3 != 0 })
	config := engine.Config{Loops: 1 + w.rng.IntN(3), Linger: time.Second,
		Logger: slog.New(wildHandler{slog.Default().Handler()})}
	if w.rng.IntN(2) == 0 {
		config.Observer = w.observer()
	}
	if w.rng.IntN(3) == 0 {
		w.storm = 1 + w.rng.IntN(10)
	}
	if w.flood = w.rng.IntN(20) == 0; w.flood && w.rng.IntN(2) == 0 {
		w.quiet, config.Loops = true, 1 // others would have to accept what comes next
	}
	var err error
	if w.eng, err = engine.NewOn(handsOver{network}, config); err != nil {
		return err
	}
	lc := engine.ListenConfig{}
	if w.rng.IntN(2) == 0 && !w.quiet {
		lc.MaxConnections = 1 + w.rng.IntN(60)
	}
	if w.ln, err = lc.Listen(w.eng, "tcp", "127.0.0.1:0", w.accept); err != nil {
		return err
	}
	last := 20 + w.rng.IntN(60)
	abrupt := last + 1 + w.rng.IntN(40)
	orderly := w.rng.IntN(2) == 0
	if w.last = last; !orderly {
		w.last = abrupt
	}
	for turn, live := 0, true; live; turn++ {
		w.turn = turn
		switch {
		case turn == last && orderly:
			w.ending, w.before = true, network.Counts().Accepts
			w.eng.BeginShutdown()
		case turn == abrupt:
			if w.abrupt, w.panics = turn, 0; !w.ending {
				w.ending, w.before = true, network.Counts().Accepts
			}
			if w.rng.IntN(2) == 0 {
				w.abort()
			}
			w.eng.BeginClose()
		case w.abrupt > 0 && w.turns() > 20:
			return fmt.Errorf("the engine does not end in %d turns after Close, with %d panics", turn-abrupt, w.panics)
		}
		w.arrive()
		for range w.rng.IntN(4) {
			w.ask()
		}
		w.accepts = network.Counts().Accepts
		may, waits := w.eng.Live()-w.eng.Pending(), network.Counts().Waits
		live = w.eng.StepApart(w.late)
		if n := network.Counts().Waits - waits; n > may {
			return fmt.Errorf("%d loops wait for events, %d may", n, may)
		}
		time.Sleep(max(network.Now()-time.Since(since), 0))
		synctest.Wait()
		if err := errors.Join(w.failed, w.eng.Check()); err != nil {
			return err
		}
	}
	if n := w.eng.Cut(); n < w.cut || n > w.cut+w.orphans || n > 0 && w.eng.WasCut() == nil {
		return fmt.Errorf("%d connections were told that they were cut, %d may have been, the engine says %d: %w",
			w.cut, w.orphans, n, w.eng.WasCut())
	}
	told := func() error {
		for _, a := range w.asked {
			if a.taken && a.told != 1 || !a.taken && a.told != 0 {
				return fmt.Errorf("%s: accepted %v, run or told %d times", a.what, a.taken, a.told)
			}
		}
		return w.failed
	}
	if err := told(); err != nil {
		return err
	}
	w.ask()
	lookedUp()
	if n := w.ln.Counted(); n != len(w.places) {
		return fmt.Errorf("the listener counts %d connections, %d places are kept", n, len(w.places))
	}
	if n := network.Descriptors(); n != 0 {
		return fmt.Errorf("%d descriptors are left open", n)
	}
	return told()
}

// turns returns how many turns Close has had. A call that panics may have cost one.
func (w *ending) turns() int { return w.turn - w.abrupt - w.panics }

// ask asks for something.
func (w *ending) ask() {
	if w.requests++; w.requests > 500 { // what was asked for asks for more
		return
	}
	if w.rng.IntN(6) == 0 && !w.quiet { // Close would have to wait for thousands of calls
		w.each()
	}
	a := w.note("post")
	switch w.rng.IntN(5) {
	case 0, 1:
		a.taken = w.eng.Post(w.rng.IntN(w.eng.Loops()), func() {
			a.told++
			w.call()
		}) == nil
	case 2:
		w.adopt(a)
	default:
		w.dial(a)
	}
}

func (w *ending) note(what string) *accepted {
	a := &accepted{what: fmt.Sprint(what, " ", len(w.asked))}
	w.asked = append(w.asked, a)
	return a
}

func (w *ending) dial(a *accepted) {
	a.what = "dial, not " + a.what
	address := "a.test:7"
	if w.rng.IntN(2) == 0 {
		address = fmt.Sprintf("192.0.2.%d:7", 5+w.rng.IntN(3))
	}
	config := engine.DialConfig{Timeout: time.Duration(1+w.rng.IntN(2000)) * time.Millisecond, LookupNetIP: w.lookUp(a)}
	if w.rng.IntN(3) == 0 {
		config.FallbackDelay = -1
	}
	a.taken = w.eng.Dial(w.ctx, "tcp", address, config, func(c *engine.Conn, err error) engine.Protocol {
		if a.told++; (c == nil) == (err == nil) {
			w.failed = fmt.Errorf("%s: %v, %v", a.what, c, err)
		}
		if c == nil {
			w.call()
			return nil
		}
		if c.LocalAddr() == c.RemoteAddr() && c.LocalAddr().IsValid() {
			w.failed = fmt.Errorf("%s is connected to itself", a.what)
		}
		return w.serve(c)
	}) == nil
}

// lookUp is a look-up that takes its time, and may not listen to its context.
func (w *ending) lookUp(a *accepted) func(context.Context, string, string) ([]netip.Addr, error) {
	took, deaf, fails := time.Duration(w.rng.IntN(200))*time.Millisecond, w.rng.IntN(2) == 0, w.rng.IntN(4)
	first, n := w.rng.IntN(9), 1+w.rng.IntN(4)
	return func(ctx context.Context, _, host string) (all []netip.Addr, err error) {
		if deaf {
			ctx = context.Background()
		}
		select {
		case <-time.After(took):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		switch fails {
		case 0:
			return nil, errors.New("no such name")
		case 1:
			panic("no such name")
		}
		for i := range n {
			all = append(all, netip.AddrFrom4([4]byte{192, 0, 2, byte(first + i)}))
		}
		return all, nil
	}
}
