package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// hoarder is a connection that holds as much as its peer makes it hold.
type hoarder struct {
	w    *hoard
	conn *engine.Conn
	kind hoarding
	fed  int // calls of Feed
	held int // of AddHeld
}

type hoarding int

const (
	keeps   hoarding = iota // leaves its input unconsumed
	holds                   // adds to what it holds, see AddHeld
	answers                 // writes to a peer that does not read
	waits                   // leaves its input and pauses; when it is resumed, it is holds
	modest                  // leaves a few bytes unconsumed
	hoardings
)

const (
	hoardPeers = 60
	hoardSends = 32 << 10 // by each peer, and what each holds at least
	hoardStep  = 8 * hoardSends
)

// hoard is one run of TestSimulatedBudget.
type hoard struct {
	eng    *engine.Engine
	most   int // Config.MaxBuffered
	bound  int // of what is held at any time
	all    []*hoarder
	reads  bool // the driver reads to where the loop wants it: chunks are no larger than needed
	failed error
	closed int  // for the budget
	fed    bool // a connection, in this turn
	net    *sim.Network
	surged bool // see surge
}

// TestSimulatedBudget: however much the peers of many connections make them hold within one turn,
// the loops never hold more than Config.MaxBuffered by far. Connections are closed only as long as
// that is exceeded, and not those that hold next to nothing.
func TestSimulatedBudget(t *testing.T) {
	var closed atomic.Int64
	simulate(t, max(20, seeds(t)/4), func(tr *trial) error {
		w := new(hoard)
		err := w.run(tr)
		closed.Add(int64(w.closed))
		return err
	})
	if _, replay := number(t, "MYRIAD_SEED"); !replay && closed.Load() == 0 {
		t.Error("no connection was closed")
	}
}

func (w *hoard) run(tr *trial) (err error) {
	rng := rand.New(rand.NewPCG(tr.seed, 29))
	faults := sim.DrawFaults(tr.seed).Lossless()
	faults.SmallBuffer = 0
	w.reads = tr.seed%4 != 1
	net := tr.network(sim.Config{Faults: faults, Completion: !w.reads})
	w.net = net
	loops := 1 + rng.IntN(2)
	w.most = loops * (128<<10 + rng.IntN(256<<10))
	w.eng, err = engine.NewOn(net, engine.Config{
		Loops: loops, MaxBuffered: w.most, HighWater: 1 << 20, WriteTimeout: -1, Logger: quiet,
	})
	if err != nil {
		return err
	}
	// A loop below its share is not relieved when another one is above. A turn, and the next until
	// its tasks, may each add Slack to what is published.
	w.bound = w.most + (loops-1)*w.most/loops + loops*(2*w.eng.Slack()+hoardStep)
	kind := hoarding(rng.IntN(int(2 * hoardings)))
	ln, err := w.eng.Listen("tcp", "127.0.0.1:0", func(c *engine.Conn) engine.Protocol {
		h := &hoarder{w: w, conn: c, kind: kind}
		if kind >= hoardings || rng.IntN(8) == 0 {
			h.kind = hoarding(rng.IntN(int(hoardings)))
		}
		w.all = append(w.all, h)
		return h
	})
	if err != nil {
		return err
	}
	var peers []*sim.Peer
	for i := range hoardPeers {
		if tr.comes(i) {
			peers = append(peers, net.Dial(ln.Addr()))
		}
	}
	if err := w.await(len(peers)); err != nil {
		return err
	}
	for round := range 6 {
		if round%2 == 0 {
			for _, p := range peers {
				if p.CanSend() {
					p.Send(make([]byte, rng.IntN(hoardSends)))
				}
			}
		} else {
			engine.Each(w.handles(), (*engine.Conn).ResumeRead)
		}
		for range rng.IntN(20) {
			if err := w.turn(net); err != nil {
				return err
			}
		}
	}
	net.SetFaults(sim.Faults{Tick: time.Millisecond})
	// See turn: the last one has fed nobody. With what peers sent, a driver that delivers single
	// bytes takes so long.
	for turn := 0; turn < 50 || w.fed; turn++ {
		if turn > 3*hoardSends {
			return errors.New("connections are fed for ever")
		}
		if err := w.turn(net); err != nil {
			return err
		}
	}
	if n := w.eng.Buffered(); n > w.most {
		return fmt.Errorf("%d bytes stay buffered, the limit is %d", n, w.most)
	}
	idle := 0
	if loops == 1 && rng.IntN(32) == 0 {
		idle = 2048
	}
	if err := w.surge(ln.Addr(), idle); err != nil {
		return err
	}
	w.eng.BeginClose()
	for w.eng.Step() {
	}
	if n := w.eng.Memory(); n != 0 {
		return fmt.Errorf("%d bytes are held in the end", n)
	}
	return w.failed
}

// await turns the loops until so many connections were accepted.
func (w *hoard) await(n int) error {
	for turn := 0; len(w.all) < n; turn++ {
		if turn == 2000 {
			w.net.SetFaults(sim.Faults{})
		}
		if turn > 20_000 {
			return fmt.Errorf("%d of %d connections were accepted", len(w.all), n)
		}
		w.eng.Step()
	}
	return nil
}

// surge makes many connections hold much in one call. To find them, behind idle ones that hold
// nothing, and to close them takes more time than a turn has: the loops go on in the next turns,
// although nothing else happens.
func (w *hoard) surge(to netip.AddrPort, idle int) error {
	n := len(w.all) + idle
	for len(w.all) < n+hoardPeers {
		some := min(n+hoardPeers-len(w.all), 100)
		for range some {
			w.net.Dial(to)
		}
		if err := w.await(len(w.all) + some); err != nil {
			return err
		}
	}
	w.surged = true
	for loop := range w.eng.Loops() {
		w.eng.InTurn(loop, func() {
			for _, h := range w.all[n:] {
				if h.conn.Loop() == loop {
					h.kind = holds
					h.hold(w.most / 8)
				}
			}
		})
	}
	for range hoardPeers {
		w.eng.Step()
	}
	if err := errors.Join(w.failed, w.eng.Check()); err != nil {
		return err
	}
	if n := w.eng.Buffered(); n > w.most {
		return fmt.Errorf("%d bytes stay buffered after a surge, the limit is %d", n, w.most)
	}
	return nil
}

func (w *hoard) turn(net *sim.Network) error {
	before := net.Counts().ReadAgain
	w.fed = false
	w.eng.Step()
	// Before it runs tasks, each loop reduces what it holds until that is no more than its part, or
	// all loops hold no more than the limit. So only what a turn has added may be above it when the
	// turn ends: Slack and a step of each loop. A step is a Feed, or the room for a read, which may
	// then find nothing to read.
	most := w.most
	if w.fed || net.Counts().ReadAgain > before {
		most = w.bound - w.eng.Loops()*w.eng.Slack()
	}
	if n := w.eng.Buffered(); n > most && w.failed == nil {
		w.failed = fmt.Errorf("%d bytes are buffered when a turn has ended, want at most %d; the limit is %d; fed: %v",
			n, most, w.most, w.fed)
	}
	return errors.Join(w.failed, w.eng.Check(), net.Check())
}

func (w *hoard) handles() func(func(engine.Handle) bool) {
	var all []engine.Handle
	for _, h := range w.all {
		all = append(all, h.conn.Handle())
	}
	return slices.Values(all)
}

func (w *hoard) look() {
	if n := w.eng.Memory(); n > w.bound && w.failed == nil {
		w.failed = fmt.Errorf("%d bytes are held in a turn, want at most %d; the limit is %d", n, w.bound, w.most)
	}
}

func (h *hoarder) Feed(b []byte) (int, error) {
	h.w.look()
	h.w.fed = true
	h.fed++
	switch h.kind {
	case keeps:
		return 0, nil
	case modest:
		return max(len(b)-10, 0), nil
	case answers:
		h.conn.Write(make([]byte, hoardSends))
	case waits:
		if h.fed == 1 {
			h.conn.PauseRead()
			return 0, nil
		}
		h.hold(2 * hoardSends)
	case holds:
		h.hold(hoardSends)
	}
	return len(b), nil
}

func (h *hoarder) hold(n int) {
	h.conn.AddHeld(n)
	h.held += n
}

func (h *hoarder) Held() int {
	if h.w.surged {
		h.w.net.Advance(time.Microsecond)
	}
	return h.held
}

func (h *hoarder) Closed(err error) {
	w := h.w
	h.hold(-h.held)
	var unsent *engine.UnsentError
	if errors.As(err, &unsent) {
		err = unsent.Reason
	}
	if !errors.Is(err, engine.ErrBufferLimit) {
		return
	}
	if w.closed++; w.surged {
		w.net.Advance(20 * time.Microsecond)
	}
	switch n := w.eng.Buffered(); {
	case w.failed != nil:
	case n <= w.most:
		w.failed = fmt.Errorf("closed for the budget with %d bytes of %d", n, w.most)
	case !w.eng.OverShare(h.conn.Loop()):
		w.failed = fmt.Errorf("closed for the budget on a loop that has not more than its share")
	case h.kind == modest && w.reads && !w.surged: // idle ones lower the average
		w.failed = fmt.Errorf("closed for the budget, with next to nothing")
	}
}
