package engine_test

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/myriadnet/myriad/engine"
	protocol "github.com/myriadnet/myriad/engine/internal/handover"
)

// handing has a second engine in the same network. One of the two hands its connections to the
// other, over and over, in either direction. The protocol between them is simulated: a batch is
// taken, or a part of it, or given back, and at any moment all may break.
type handing struct {
	r        *run
	rng      *rand.Rand
	other    *engine.Engine
	engines  [2]*engine.Engine
	lns      [2]*engine.Listener
	h        engine.Handover
	now      *fakeProtocol // nil: no handover is in progress
	from     int           // engine that gives
	ends     bool          // the engines end in the middle of a handover
	quits    int           // turns until then, at least
	quitting bool          // they do

	echoes   []*handedEcho  // all that ever were
	frozen   int            // connections that were
	taken    int            // of them
	told     int            // Closed with ErrHandedOver
	panicked bool           // Closed has, in this turn
	streams  []*toyStream   // that were saved
	cut      map[uint16]int // by the client's port: why the server may have ended it
}

// fakeProtocol is a protocol.Giver and the Taker at its other end.
type fakeProtocol struct {
	engine.Giving
	posted   []*parcel
	finished bool // Finish was called
	over     bool // nothing is on its way any more
	aborted  bool // the engine knows
	moved    int
	err      error
}

// parcel is a batch on its way.
type parcel struct {
	*protocol.Batch
	owned bool // by the other engine; this one does not know yet
}

func (f *fakeProtocol) Post(b *protocol.Batch) error {
	if f.over || f.finished {
		return protocol.ErrOver
	}
	b.Taken, b.Err = protocol.Set{}, nil
	f.posted = append(f.posted, &parcel{Batch: b})
	return nil
}

func (f *fakeProtocol) Finish() { f.finished = true }

func newHanding(r *run, c engine.Config, lc engine.ListenConfig, accept func(*engine.Conn) engine.Protocol) (
	*handing, error) {
	h := &handing{r: r, rng: r.source(-1), cut: make(map[uint16]int)}
	c.Loops = 1 + h.rng.IntN(2)
	other, err := engine.NewOn(r.net, c)
	if err != nil {
		return nil, err
	}
	ln, err := lc.Listen(other, "tcp", "127.0.0.1:0", accept)
	if err != nil {
		return nil, err
	}
	h.other = other
	h.engines, h.lns = [...]*engine.Engine{r.eng, other}, [...]*engine.Listener{r.ln, ln}
	h.h = engine.Handover{Load: h.load}
	h.ends, h.quits = r.trial.seed%4 == 3, h.rng.IntN(100)
	if r.layered {
		h.h.Layer = toyLayer{r}
	}
	return h, nil
}

// turn is that of run.
func (h *handing) turn() (live bool, err error) {
	if h.quits--; h.quits < 0 && h.ends && h.now != nil && len(h.now.posted) > 0 {
		h.quit()
	}
	h.r.ln = h.lns[h.rng.IntN(2)] // for the next client
	if err := h.step(); err != nil {
		return true, err
	}
	h.disturb()
	away := false
	h.panicked = false
	for _, e := range h.engines {
		if e.Step() {
			live = true
		}
		err = errors.Join(err, e.Check())
		away = away || e.Away()
	}
	if !away && !h.panicked && (h.now == nil || len(h.now.posted) == 0) {
		err = errors.Join(err, h.r.net.Check())
	}
	return live || h.now != nil, errors.Join(h.r.err, err)
}

// quit ends both engines, or only one: in order, or at once.
func (h *handing) quit() {
	h.quitting, h.ends = true, false
	for _, i := range h.rng.Perm(2)[:1+h.rng.IntN(2)] {
		if e := h.engines[i]; h.rng.IntN(2) == 0 {
			e.BeginShutdown()
		} else {
			e.BeginClose()
		}
	}
}

// step is what the protocol does.
func (h *handing) step() error {
	f := h.now
	switch {
	case f == nil:
		if h.rng.IntN(20) == 0 && !h.quitting {
			h.begin()
		}
		return nil
	case f.over && !f.aborted: // others run meanwhile
		if f.aborted = h.rng.IntN(3) == 0; f.aborted {
			f.Abort()
		}
		return nil
	case f.over:
		if f.AtHome() {
			return h.end()
		}
		return nil
	case h.rng.IntN(100) == 0:
		f.err = protocol.ErrClosed
	case f.finished && len(f.posted) == 0:
		f.over = true
		return nil
	}
	for f.err != nil && len(f.posted) > 0 { // the other end is dead, or this one thinks so
		h.settle(h.rng.IntN(len(f.posted)))
	}
	if f.err != nil {
		f.over = true
		return nil
	}
	if len(f.posted) > 0 && h.rng.IntN(3) == 0 {
		if i := h.rng.IntN(len(f.posted)); f.posted[i].owned {
			h.settle(i)
		} else {
			h.own(f.posted[i])
		}
	}
	return nil
}

func (h *handing) begin() {
	h.from = h.rng.IntN(2)
	h.h.Patience = handoverPatience[h.rng.IntN(len(handoverPatience))]
	h.engines[1-h.from].BeginTaking(h.lns[1-h.from])
	h.now = &fakeProtocol{}
	h.now.Giving = h.engines[h.from].BeginGiving(&h.h, h.now)
}

// own is the acknowledgement of a batch, all of it or a part.
func (h *handing) own(p *parcel) {
	in := protocol.Incoming{Stream: p.Stream}
	var refused protocol.Set
	refuses := []int{0, 0, 3, 1}[h.rng.IntN(4)]
	for i, it := range p.Items {
		item := protocol.Item{FD: -1, State: append([]byte(nil), it.State...)}
		if refuses > 0 && h.rng.IntN(refuses) == 0 {
			refused.Add(i)
		} else {
			p.Taken.Add(i)
			h.now.moved++
			item.FD, _ = h.r.net.Duplicate(it.FD) // descriptors are not limited
		}
		in.Items = append(in.Items, item)
	}
	p.owned = true
	h.engines[1-h.from].Own(&h.h, h.engines[h.from].Loops(), &in, refused)
}

// settle tells the engine who has the connections of a batch.
func (h *handing) settle(i int) {
	f := h.now
	p := f.posted[i]
	f.posted = append(f.posted[:i], f.posted[i+1:]...)
	if !p.owned {
		p.Err = f.err
	}
	f.Settled(p.Batch)
}

// end looks at what a handover leaves behind.
func (h *handing) end() error {
	f := h.now
	h.now = nil
	h.taken += f.moved
	if err := f.End(f.err); err != nil {
		return err
	}
	for i, e := range h.engines {
		if n := e.Handover().Moved; n != f.moved {
			return fmt.Errorf("engine %d says that %d connections have moved, not %d", i, n, f.moved)
		}
	}
	if h.told != h.taken {
		return fmt.Errorf("%d connections have moved, %d were told", h.taken, h.told)
	}
	for _, e := range h.echoes {
		switch {
		case e.closed > 0:
		case engine.IsFrozen(e.conn):
			return errors.New("a connection is frozen for ever")
		case e.ran != e.posted:
			return fmt.Errorf("of %d functions that were posted to a frozen connection %d ran", e.posted, e.ran)
		}
	}
	return nil
}

// ended looks at the end of the run.
func (h *handing) ended() error {
	if h.now != nil {
		return errors.New("a handover does not end")
	}
	err := h.other.Failed()
	for loop := range h.other.Loops() {
		err = errors.Join(err, h.other.Left(loop))
	}
	return err
}

// disturb calls a connection that is frozen, as others may do.
func (h *handing) disturb() {
	if len(h.echoes) == 0 {
		return
	}
	e := h.echoes[h.rng.IntN(len(h.echoes))]
	if e.closed == 0 && e.conn != nil && engine.IsFrozen(e.conn) {
		e.engine.InTurn(e.conn.Loop(), func() { e.frozen(h.rng) })
	}
}
