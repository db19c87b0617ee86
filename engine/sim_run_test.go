package engine_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// scenario is a protocol under simulation.
type scenario struct {
	accept func(*run) func(*engine.Conn) engine.Protocol
	client func(*run, *rand.Rand) client // which draws from its own source

	// of clients that come in quick succession; 0: 1 to 6 of them, now and then
	crowd       int
	descriptors int              // sim.Config.Descriptors
	ended       func(*run) error // looks at a run that went well
	layered     bool             // see toyLayer
	proxied     bool             // see proxyPeer
	moving      bool             // see movingEcho
	handing     bool             // see handing
}

// client is the remote end of one connection.
type client interface {
	step()       // does what can be done now
	moved() int  // bytes sent and received so far
	done() bool  // nothing more to expect from the server
	fail() error // what went wrong so far
	leave()      // closes, after the end
}

// absent is a client that shrink has left out.
type absent struct{}

func (absent) step()       {}
func (absent) moved() int  { return 0 }
func (absent) done() bool  { return true }
func (absent) fail() error { return nil }
func (absent) leave()      {}

// linger is Config.Linger. It is long, because the simulated clock jumps ahead when all wait.
const linger = 24 * time.Hour

// run is one seed's run of a scenario.
type run struct {
	trial   *trial
	rng     *rand.Rand
	net     *sim.Network
	eng     *engine.Engine
	ln      *engine.Listener
	clients []client
	served  []*witness
	layered bool
	proxied bool
	moving  bool
	hand    *handing                  // nil: there is one engine
	claims  map[uint16]netip.AddrPort // by port of a proxy: whom it has told of
	err     error                     // of a handler
}

// late reports whether so much time has passed that a header or a handshake may have timed out.
// Faults can keep bytes back until the next timer.
func (r *run) late() bool { return (r.proxied || r.layered) && r.net.Now() >= linger }

// source is where one client or server draws from.
func (r *run) source(of int) *rand.Rand { return rand.New(rand.NewPCG(r.trial.seed, 1000+uint64(of))) }

// witness watches that a protocol's life is in order: Closed once and last.
type witness struct {
	closed int
	late   string
	reason error
}

func (w *witness) called(what string) {
	if w.closed > 0 {
		w.late = what
	}
}

func (w *witness) Closed(err error) {
	w.closed++
	w.reason = err
}

func (s scenario) run(tr *trial) (err error) {
	rng := rand.New(rand.NewPCG(tr.seed, 7))
	faults := sim.DrawFaults(tr.seed)
	if tr.seed%3 == 0 {
		faults = faults.Lossless()
	}
	r := &run{trial: tr, rng: rng, net: tr.network(sim.Config{
		Faults: faults, Descriptors: s.descriptors, Completion: tr.seed%4 == 1 && !s.handing,
	})}
	config := engine.Config{
		Loops:     1 + rng.IntN(2),
		HighWater: 1 << (6 + rng.IntN(11)),
		Linger:    linger,

		WriteTimeout: -1,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if r.eng, err = engine.NewOn(r.net, config); err != nil {
		return err
	}
	lc := engine.ListenConfig{PerLoop: tr.seed%5 < 2}
	r.moving = s.moving
	if r.layered = s.layered; r.layered {
		lc.Layer = toyLayer{r}
	}
	if r.proxied = s.proxied; r.proxied {
		r.claims = make(map[uint16]netip.AddrPort)
		lc.Proxy = &engine.ProxyConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}, Timeout: linger}
		lc.MaxPerAddress = 1000
	}
	if r.ln, err = lc.Listen(r.eng, "tcp", "127.0.0.1:0", s.accept(r)); err != nil {
		return err
	}
	if s.handing {
		if r.hand, err = newHanding(r, config, lc, s.accept(r)); err != nil {
			return err
		}
	}
	if err = r.traffic(s); err == nil {
		err = r.finish()
	}
	if err == nil && s.ended != nil {
		err = s.ended(r)
	}
	return err
}

// turn does one round of everything: clients in an order that the seed draws, then the loops.
func (r *run) turn() (live bool, err error) {
	for _, i := range r.rng.Perm(len(r.clients)) {
		r.clients[i].step()
		if err := r.clients[i].fail(); err != nil {
			var reasons []error
			for _, w := range r.served[:min(len(r.served), 10)] {
				reasons = append(reasons, w.reason)
			}
			return true, fmt.Errorf("client %d: %w (reasons of the server so far: %v)", i, err, reasons)
		}
	}
	if r.hand != nil {
		return r.hand.turn()
	}
	live = r.eng.Step()
	if r.moving && r.posted() { // a descriptor may be in a task
		return live, errors.Join(r.err, r.eng.Check())
	}
	return live, errors.Join(r.err, r.eng.Check(), r.net.Check())
}

// posted reports whether a loop has tasks that wait for its next turn.
func (r *run) posted() bool {
	for loop := range r.eng.Loops() {
		if r.eng.HasTasks(loop) {
			return true
		}
	}
	return false
}

func (r *run) arrive(s scenario) {
	i := len(r.clients)
	if r.trial.comes(i) {
		r.clients = append(r.clients, s.client(r, r.source(i)))
		return
	}
	r.clients = append(r.clients, absent{})
}

// traffic runs clients under faults, then lets all end in calm.
func (r *run) traffic(s scenario) error {
	// 64 KiB may lie in front of a receive buffer of one byte
	left, most, often, patience := 1+r.rng.IntN(6), 1, 8, 100_000
	if s.crowd > 0 {
		left, most, often, patience = s.crowd, s.crowd/100, 1, 20_000
	}
	for i := 0; i < 400 || left > 0; i++ {
		if left > 0 && r.rng.IntN(often) == 0 {
			for range min(left, 1+r.rng.IntN(most)) {
				left--
				r.arrive(s)
			}
		}
		if _, err := r.turn(); err != nil {
			return err
		}
		if r.hand != nil && r.hand.quitting {
			r.net.SetFaults(sim.Faults{})
			return nil
		}
	}
	// time passes even while there is always something to do
	r.net.SetFaults(sim.Faults{Tick: time.Millisecond})
	for idle, before := 0, 0; ; idle++ {
		waiting, moved := 0, 0
		for _, c := range r.clients {
			if !c.done() {
				waiting++
			}
			moved += c.moved()
		}
		if waiting == 0 {
			return nil
		}
		if moved != before {
			before, idle = moved, 0
		}
		if idle == patience {
			return fmt.Errorf("%d of %d clients wait for ever", waiting, len(r.clients))
		}
		if _, err := r.turn(); err != nil {
			return err
		}
	}
}

// finish shuts the engine down and looks for what was left behind.
func (r *run) finish() error {
	for _, c := range r.clients {
		if r.rng.IntN(2) == 0 {
			c.leave()
		}
	}
	if r.hand != nil {
		r.hand.other.BeginShutdown()
	}
	r.eng.BeginShutdown()
	for _, c := range r.clients {
		c.leave()
	}
	begin := r.net.Now()
	for {
		live, err := r.turn()
		if err != nil {
			return err
		}
		if !live {
			break
		}
		if r.net.Now()-begin > time.Minute {
			return fmt.Errorf("the engine does not shut down")
		}
	}
	if r.hand != nil {
		if err := r.hand.ended(); err != nil {
			return err
		}
	}
	if err := r.eng.Failed(); err != nil {
		return err
	}
	if n := r.net.Descriptors(); n != 0 {
		return fmt.Errorf("%d descriptors are left open", n)
	}
	for loop := range r.eng.Loops() {
		if err := r.eng.Left(loop); err != nil {
			return err
		}
	}
	for i, w := range r.served {
		if w.closed != 1 {
			return fmt.Errorf("connection %d: Closed was called %d times", i, w.closed)
		}
		if w.late != "" {
			return fmt.Errorf("connection %d: %s after Closed", i, w.late)
		}
	}
	return nil
}

// pattern is byte number i of a stream: bytes that are lost, doubled or out of order show.
func pattern(i int) byte { return byte(i*7 + i>>8*13) }

// period is that of pattern, and patterns are two of them.
const period = 1 << 16

var patterns = sync.OnceValue(func() []byte {
	b := make([]byte, 2*period)
	for i := range b {
		b[i] = pattern(i)
	}
	return b
})

// fillPattern sets b to the bytes of a stream from number i on. It is fast under the race detector,
// too, and so is isPattern.
func fillPattern(b []byte, i int) {
	for len(b) > 0 {
		n := copy(b, patterns()[i%period:])
		b, i = b[n:], i+n
	}
}

// isPattern reports whether b is what fillPattern makes.
func isPattern(b []byte, i int) bool {
	for len(b) > 0 {
		n := min(len(b), period)
		if !bytes.Equal(b[:n], patterns()[i%period:][:n]) {
			return false
		}
		b, i = b[n:], i+n
	}
	return true
}
