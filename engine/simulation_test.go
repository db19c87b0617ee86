package engine_test

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// A simulated run is a pure function of its seed: faults, traffic and the clock all come from it. A seed that fails is
// printed and replays exactly, with a trace of what the network did:
//
//	MYRIAD_SEED=4711 go test ./engine -run TestSimulatedTCPEcho
//
// MYRIAD_SEEDS sets how many seeds are run.

const defaultSeeds = 400

// scenario is a protocol under simulation.
type scenario struct {
	accept func(*run) func(*engine.Conn) engine.Protocol
	client func(*run) client
}

// client is the remote end of one connection.
type client interface {
	step()       // does what can be done now
	moved() int  // bytes sent and received so far
	done() bool  // nothing more to expect from the server
	fail() error // what went wrong so far
	leave()      // closes, after the end
}

// run is one seed's run.
type run struct {
	rng     *rand.Rand
	net     *sim.Network
	eng     *engine.Engine
	ln      *engine.Listener
	clients []client
	served  []*witness
	calm    bool // faults are off
}

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

func simulate(t *testing.T, s scenario) {
	t.Helper()
	if v := os.Getenv("MYRIAD_SEED"); v != "" {
		seed, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if trace, err := runSeed(seed, s, 400); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(trace, "\n"))
		}
		return
	}
	for seed := range seeds(t) {
		if _, err := runSeed(seed, s, 0); err != nil {
			t.Fatalf("seed %d: %v\nreplay: MYRIAD_SEED=%d go test ./engine -run '^%s$'", seed, err, seed, t.Name())
		}
	}
}

func seeds(t *testing.T) uint64 {
	v := os.Getenv("MYRIAD_SEEDS")
	if v == "" {
		return defaultSeeds
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func runSeed(seed uint64, s scenario, trace int) (_ []string, err error) {
	rng := rand.New(rand.NewPCG(seed, 7))
	faults := sim.DrawFaults(seed)
	if seed%3 == 0 {
		faults = faults.Lossless()
	}
	r := &run{rng: rng, net: sim.New(sim.Config{Seed: seed, Faults: faults, Completion: seed%4 == 1, Trace: trace})}
	r.eng, err = engine.NewOn(r.net, engine.Config{
		Loops:     1 + rng.IntN(2),
		HighWater: 1 << (6 + rng.IntN(11)),
		Linger:    24 * time.Hour, WriteTimeout: -1, // the simulated clock jumps ahead when all wait
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	if err != nil {
		return nil, err
	}
	if r.ln, err = r.eng.Listen("tcp", "127.0.0.1:0", s.accept(r)); err != nil {
		return nil, err
	}
	if err = r.traffic(s); err == nil {
		err = r.finish()
	}
	return r.net.Trace(), err
}

// turn does one round of everything: clients in an order that the seed draws, then the loops.
func (r *run) turn() (live bool, err error) {
	for _, i := range r.rng.Perm(len(r.clients)) {
		r.clients[i].step()
		if err := r.clients[i].fail(); err != nil {
			var reasons []error
			for _, w := range r.served {
				reasons = append(reasons, w.reason)
			}
			return true, fmt.Errorf("client %d: %w (reasons of the server so far: %v)", i, err, reasons)
		}
	}
	live = r.eng.Step()
	if err := r.eng.Check(); err != nil {
		return live, err
	}
	return live, r.net.Check()
}

// traffic runs clients under faults, then lets all end in calm.
func (r *run) traffic(s scenario) error {
	left := 1 + r.rng.IntN(6)
	for i := 0; i < 400 || left > 0; i++ {
		if left > 0 && r.rng.IntN(8) == 0 {
			left--
			r.clients = append(r.clients, s.client(r))
		}
		if _, err := r.turn(); err != nil {
			return err
		}
	}
	r.calm = true
	r.net.SetFaults(sim.Faults{Tick: time.Millisecond}) // time passes even while there is always something to do
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
		if idle == 100_000 { // 64 KiB may lie in front of a receive buffer of one byte
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
	if err := r.eng.Failed(); err != nil {
		return err
	}
	if n := r.net.Descriptors(); n != 0 {
		return fmt.Errorf("%d descriptors are left open", n)
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

// tcpEcho writes back what it reads, sometimes only a part, by Write, Writev or AvailableBuffer, and plays with
// everything else that a Protocol may do on its way.
type tcpEcho struct {
	witness
	r    *run
	conn *engine.Conn
}

func (e *tcpEcho) Feed(b []byte) (int, error) {
	e.called("Feed")
	n := len(b)
	if e.r.rng.IntN(4) == 0 { // leave some for later, but have it offered again
		n = e.r.rng.IntN(len(b) + 1)
		e.conn.PauseRead()
		e.conn.AfterFunc(time.Duration(e.r.rng.IntN(50))*time.Millisecond, e.conn.ResumeRead)
	}
	out := b[:n]
	switch e.r.rng.IntN(4) {
	case 0:
		k := e.r.rng.IntN(len(out) + 1)
		e.conn.Writev(out[:k], out[k:])
	case 1:
		e.conn.Write(append(e.conn.AvailableBuffer(), out...))
	case 2:
		for len(out) > 0 {
			k := 1 + e.r.rng.IntN(len(out))
			e.conn.Write(out[:k])
			out = out[k:]
		}
	default:
		e.conn.Write(out)
	}
	return n, nil
}

// ReadClosed lets the queue drain: what the peer sent before its FIN comes back.
func (e *tcpEcho) ReadClosed() {
	e.called("ReadClosed")
	e.conn.Close()
}

func (e *tcpEcho) Drained() { e.called("Drained") }

// tcpClient sends a stream and expects it back.
type tcpClient struct {
	r              *run
	p              *sim.Peer
	total          int
	sent, received int
	finish         int // 0 CloseWrite, 1 Reset, 2 Close
	finished       bool
	err            error
}

func newTCPClient(r *run) client {
	return &tcpClient{r: r, p: r.net.Dial(r.ln.Addr()), total: r.rng.IntN(1 << r.rng.IntN(16)), finish: max(0, r.rng.IntN(6)-3)}
}

func (c *tcpClient) step() {
	if c.sent < c.total && c.r.rng.IntN(3) > 0 {
		b := make([]byte, 1+c.r.rng.IntN(min(c.total-c.sent, 4096)))
		for i := range b {
			b[i] = pattern(c.sent + i)
		}
		c.sent += c.p.Send(b)
	}
	if c.sent == c.total && !c.finished && c.p.CanSend() {
		c.finished = true
		switch c.finish {
		case 0:
			c.p.CloseWrite()
		case 1:
			c.p.Reset()
		case 2:
			c.p.Close()
		}
	}
	for _, b := range c.p.Recv(c.r.rng.IntN(5000)) {
		if b != pattern(c.received) {
			c.err = fmt.Errorf("byte %d is %d, want %d", c.received, b, pattern(c.received))
			return
		}
		c.received++
	}
}

func (c *tcpClient) fail() error {
	switch {
	case c.err != nil:
		return c.err
	case c.received > c.sent:
		return fmt.Errorf("%d bytes came back of %d", c.received, c.sent)
	case c.p.EOF() && !c.p.Faulted() && c.finish == 0 && c.received != c.total:
		return fmt.Errorf("a clean EOF after %d bytes of %d", c.received, c.total)
	case c.p.Err() != nil && !c.p.Faulted() && !c.finished && c.r.net.Counts().NoMemory == 0:
		return fmt.Errorf("the server broke the connection: %w", c.p.Err())
	}
	return nil
}

func (c *tcpClient) moved() int { return c.sent + c.received }

func (c *tcpClient) leave() { c.p.Close() }

func (c *tcpClient) done() bool {
	return c.p.EOF() || c.p.Err() != nil || c.finished && c.finish > 0
}

func TestSimulatedTCPEcho(t *testing.T) {
	simulate(t, scenario{
		accept: func(r *run) func(*engine.Conn) engine.Protocol {
			return func(c *engine.Conn) engine.Protocol {
				e := &tcpEcho{r: r, conn: c}
				r.served = append(r.served, &e.witness)
				return e
			}
		},
		client: newTCPClient,
	})
}
