package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/handover"
	"github.com/myriadnet/myriad/engine/internal/layer"
)

// Inherit takes over from the process that calls Offer with the same Path. Call it before
// Engine.Listen and Engine.Run. found is whether there is one; if not, this process begins by
// itself.
//
// Inherit returns when the listening sockets are here. Listen then uses the one that the old
// process had opened with the same network and address; what no Listen asks for is closed in the
// end. Listeners accept, and connections arrive, once Run runs: that tells the old process that
// this one is ready. Until then the old process goes on as if nothing were, and so it does if this
// one dies, or ends its engine.
//
// If the old process gives up before that, or does not answer in time, Run returns the error. If it
// is dead by then, or its Offer has ended, this process begins with the listeners alone. An error
// of Inherit means that there is an old process, but that it could not be taken over from.
func (h *Handover) Inherit(ctx context.Context, e *Engine) (found bool, err error) {
	if err := h.check(); err != nil {
		return false, err
	}
	t, err := handover.Dial(ctx, h.Path)
	if errors.Is(err, handover.ErrNobody) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("engine: handover: %w", err)
	}
	k := &taking{engine: e, from: h, streams: make(map[uint32]*landing),
		path: &inheritedPath{name: h.Path, ended: make(chan struct{})}}
	version := h.stateVersion()
	if h.Load == nil {
		version = 0 // nobody writes that
	}
	k.taker = handover.NewTaker(t, handover.TakerConfig{
		StateVersion: version,
		Timeout:      h.Timeout,
		Accept:       k.accept,
		Prepare:      k.prepare,
		Own:          k.own,
		Drop:         k.drop,
	})
	e.moves.progress.begin(true)
	in, err := k.taker.Listeners(ctx)
	if err != nil {
		e.moves.progress.end(err)
		return false, fmt.Errorf("engine: handover: %w", err)
	}
	links, err := k.keep(in)
	if err = errors.Join(err, k.takeLinks(links)); err != nil {
		k.taker.Refuse(err.Error())
		k.fail(err)
		close(k.path.ended)
		return false, fmt.Errorf("engine: handover: %w", err)
	}
	go k.run()
	return true, nil
}

// taking is a handover from another process.
type taking struct {
	engine *Engine
	from   *Handover
	taker  *handover.Taker
	loops  int // of the old process
	path   *inheritedPath

	mu      sync.Mutex
	streams map[uint32]*landing // by the loop of the old process
}

// inheritedPath is the Path of a handover from another process, for Offer.
type inheritedPath struct {
	name   string
	ended  chan struct{}                   // closed when that handover has ended
	socket atomic.Pointer[handover.Socket] // nil: none, or somebody else has it, who closes it
}

// close closes the socket, unless Offer has it. If remove is set, it also removes the file.
func (p *inheritedPath) close(remove bool) {
	if s := p.socket.Swap(nil); s != nil {
		s.Close(remove)
	}
}

// landing is what arrives from a loop of the old process. A batch is acknowledged when all
// connections of the one before have a Conn. Otherwise an old process that gives faster than this
// one takes would leave ever more connections waiting, which neither of the two serves.
type landing struct {
	busy    bool // a batch is acknowledged or owned, and has not landed
	waiting []unanswered
}

// unanswered is a batch that has arrived.
type unanswered struct {
	batch   *handover.Incoming
	refused handover.Set
}

// keep keeps what has come for Listen and Offer. It returns what has come for Links.
func (k *taking) keep(in *handover.Inherited) (links []handover.Listener, err error) {
	e := k.engine
	var all []*inherited
	for _, ln := range in.Listeners {
		if ln.Network == pathNetwork && k.path.socket.Load() == nil && len(ln.FDs) == 1 {
			s, e := handover.Inherit(k.from.Path, ln.FDs[0])
			err = errors.Join(err, e)
			k.path.socket.Store(s)
			k.loops, _ = strconv.Atoi(string(ln.Meta))
			continue
		}
		if ln.Network == linkNetwork && len(ln.FDs) == 1 {
			links = append(links, ln)
			continue
		}
		all = append(all, &inherited{Listener: ln})
	}
	err = errors.Join(err, keepKeys(all, in.Secrets))
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moves.inherited, e.moves.holding, e.moves.path = all, true, k.path
	return links, err
}

// takeLinks gives all Links their connections from the old process. After an error it goes on with
// the others, so that nothing stays open.
func (k *taking) takeLinks(links []handover.Listener) (err error) {
	for _, ln := range links {
		err = errors.Join(err, k.from.takeLink(ln.Address, ln.FDs[0]))
	}
	return err
}

// run says READY when the engine runs, and takes what comes.
func (k *taking) run() {
	defer close(k.path.ended)
	e := k.engine
	<-e.started
	ctx, cancel := context.WithCancelCause(e.stopContext)
	defer cancel(nil)
	// A process that ends takes nothing more: the old one goes on with it.
	err := e.OnShutdown(func(context.Context) {
		cancel(ErrClosed)
		<-k.path.ended
		k.path.close(true) // Offer was not called, or was too late
	})
	if err != nil {
		k.taker.Refuse("the engine has ended")
		k.fail(ErrClosed)
		return
	}
	err = k.taker.Run(ctx)
	var broken *handover.BrokenError
	switch {
	case err == nil:
		e.forgetInherited(true)
	case errors.As(err, &broken):
		e.config.Logger.Error("engine: a handover from another process has broken halfway",
			"error", broken.Err, "moved", e.Handover().Moved)
		if s := k.path.socket.Load(); s != nil {
			s.Share() // with the old process, which may go on
		}
		e.forgetInherited(false)
	case k.isAlone():
		e.config.Logger.Error("engine: the old process has died before the handover", "error", err)
		k.accept()
		e.forgetInherited(true)
	default:
		k.fail(fmt.Errorf("engine: handover: %w", err))
		return
	}
	e.moves.progress.end(err)
}

// aloneAsks is how often isAlone asks, for 341 ms. All fit into the backlog.
const aloneAsks = 6

// isAlone reports whether the old process is dead. Its sockets are open here, so nobody was
// refused. One that is ending, or being killed, closes what it has one after the other: it may be
// found at the path a moment later. So it is asked again, or both would end.
func (k *taking) isAlone() bool {
	k.path.close(false)
	ctx, cancel := context.WithTimeout(k.engine.stopContext, time.Second)
	defer cancel()
	for n, pause := 1, time.Millisecond; ; n, pause = n+1, 4*pause {
		t, err := handover.Dial(ctx, k.from.Path)
		if err != nil {
			return errors.Is(err, handover.ErrNobody)
		}
		t.Close()
		if n == aloneAsks {
			return false
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// fail ends the engine of a process that has not taken over. Run returns the error.
func (k *taking) fail(err error) {
	e := k.engine
	k.path.close(false)
	e.moves.progress.end(err)
	e.mu.Lock()
	if !e.stopping { // else it may have ended, and Close reads its error
		e.err = errors.Join(e.err, err)
	}
	for _, ln := range e.moves.open {
		ln.Close()
	}
	e.mu.Unlock()
	e.forgetInherited(false)
	e.stop((*loop).stopOrderly)
}

// accept is called when this process accepts connections.
func (k *taking) accept() {
	k.engine.moves.progress.update(func(s *HandoverStats) { s.Stage = HandoverMoving })
	k.engine.startHeld()
}

// read makes b.Data of the states: an arrival for each. What this process cannot read is refused.
func (k *taking) read(b *handover.Incoming) (refused handover.Set) {
	_, loadsLayers := k.from.Layer.(layer.Loader)
	all := make([]arrival, len(b.Items))
	for i, item := range b.Items {
		m, err := readMoved(item.State)
		if err != nil || m.flags&layered != 0 && !loadsLayers {
			refused.Add(i)
		}
		all[i] = arrival{fd: item.FD, state: item.State, listener: k.engine.listenerOf(m.listener)}
	}
	b.Data = all
	return refused
}

// prepare acknowledges a batch when the one before has landed.
func (k *taking) prepare(b *handover.Incoming) {
	refused := k.read(b)
	k.mu.Lock()
	s := k.streams[b.Stream]
	if s == nil {
		s = &landing{}
		k.streams[b.Stream] = s
	}
	if s.busy {
		s.waiting = append(s.waiting, unanswered{b, refused})
		b = nil
	}
	s.busy = true
	k.mu.Unlock()
	if b != nil {
		b.Acknowledge(refused)
	}
}

// landed goes on with the next batch of a stream.
func (k *taking) landed(stream uint32) {
	var next unanswered
	k.mu.Lock()
	if s := k.streams[stream]; s != nil && len(s.waiting) > 0 {
		next = s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1)
	} else if s != nil {
		s.busy = false
	}
	k.mu.Unlock()
	if next.batch != nil {
		next.batch.Acknowledge(next.refused)
	}
}

// drop forgets a batch that the old process keeps.
func (k *taking) drop(b *handover.Incoming) { k.landed(b.Stream) }

// own gives the connections of a batch to their loops.
func (k *taking) own(b *handover.Incoming, refused handover.Set) {
	e := k.engine
	var left atomic.Int32
	left.Store(1)
	over := func() {
		if left.Add(-1) == 0 {
			b.Release()
			k.landed(b.Stream)
		}
	}
	n := 0
	for i, all := range k.place(b, refused) {
		if n += len(all); len(all) > 0 {
			left.Add(1)
			e.loops[i].receive(&arrivals{all: all, from: k.from, over: over})
		}
	}
	over()
	e.moves.progress.update(func(s *HandoverStats) { s.Moved += n })
}

// place returns what of b each loop gets, and counts it there: the loop of the same number, which
// keeps what ListenConfig.PlaceByAddress has chosen, if both processes have as many loops.
func (k *taking) place(b *handover.Incoming, refused handover.Set) [][]arrival {
	e, all := k.engine, b.Data.([]arrival)
	placed := make([][]arrival, len(e.loops))
	same := k.loops == len(e.loops) && int(b.Stream) < k.loops
	if same {
		placed[b.Stream] = all[:0]
	}
	for i, a := range all {
		if refused.Has(i) {
			continue
		}
		to := int(b.Stream)
		if !same {
			to = e.leastLoaded().index
		}
		e.loops[to].load.Add(1)
		a.copyOut()
		placed[to] = append(placed[to], a)
	}
	return placed
}
