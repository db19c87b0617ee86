package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/handover"
)

// Offer waits at Path for a new process that calls Inherit, and hands everything to it. Call it on
// a goroutine of its own, one at a time, when the process serves. If this process has inherited
// itself, Offer waits for the end of that first.
//
// When a handover fails, this process goes on as before, and waits for the next one. When it has
// succeeded, Offer shuts the engine down, with Config.ShutdownTimeout for what could not move, and
// returns ErrHandedOver, as Engine.Run does then. Any other error means that nobody waits any more:
// the cause of ctx, ErrClosed if the engine ends, or one of the system, such as that the Path is in
// use. Then it may be called again. A shortage of descriptors is logged and waited for. On a loop
// it returns ErrOnLoop.
//
// End ctx only when the engine ends as well: a new process that has begun takes this one for dead,
// and both accept. Each connection has one owner all the same.
func (h *Handover) Offer(ctx context.Context, e *Engine) error {
	if err := h.check(); err != nil {
		return err
	}
	if e.OnLoop() {
		return ErrOnLoop
	}
	if e.isStopping() {
		return ErrClosed
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() { // OnShutdown would keep a function for each call
		select {
		case <-e.stopBegun:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	s, err := h.open(ctx, e)
	if err != nil {
		return err
	}
	select {
	case <-e.started: // before, no loop can take part
	case <-ctx.Done():
	}
	for {
		t, err := s.Accept(ctx)
		if handover.IsShortage(err) && ctx.Err() == nil {
			e.config.Logger.Warn("engine: cannot accept a new process for a handover yet", "error", err)
			select {
			case <-time.After(offerPause):
			case <-ctx.Done():
			}
			continue
		}
		if err != nil {
			s.Close(true)
			return offerError(ctx, err)
		}
		if handover.IsGone(t) { // it is not a handover that has failed
			t.Close()
			continue
		}
		if err = h.give(ctx, e, s, t); err == nil {
			break
		}
		if errors.As(err, new(*handover.BrokenError)) {
			s.Share() // with a new process that may serve, and wait for others
		}
		over := ctx.Err() != nil
		if over { // at once: the new process goes on if it finds nobody here
			s.Close(true)
		}
		p := e.Handover()
		e.config.Logger.Error("engine: a handover to another process has failed; this one goes on",
			"error", err, "moved", p.Moved, "total", p.Total)
		if over {
			return offerError(ctx, err)
		}
	}
	s.Close(false) // the successor has it
	limited, end := context.WithTimeout(context.WithoutCancel(ctx), e.config.ShutdownTimeout)
	defer end()
	if err := e.Shutdown(limited); err != nil {
		return errors.Join(ErrHandedOver, err)
	}
	return ErrHandedOver
}

// offerPause is how long Offer waits for descriptors. A new process that has connected waits
// longer.
const offerPause = 500 * time.Millisecond

func offerError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("engine: handover: %w", err)
}

// open returns the socket at Path: that of the old process, or a new one.
func (h *Handover) open(ctx context.Context, e *Engine) (*handover.Socket, error) {
	e.mu.Lock()
	p := e.moves.path
	e.mu.Unlock()
	if p != nil {
		select {
		case <-p.ended:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if p.name == h.Path {
			if s := p.socket.Swap(nil); s != nil { // it is Offer's now, which closes it
				return s, nil
			}
		}
	}
	s, err := handover.Listen(h.Path)
	if err != nil {
		return nil, fmt.Errorf("engine: handover: %w", err)
	}
	return s, nil
}

// pathNetwork is the network of the Path's own socket among the listeners.
const pathNetwork = "handover"

// giver is what the loops need of a *handover.Giver.
type giver interface {
	Post(*handover.Batch) error
	Finish()
}

// giving is a handover to another process.
type giving struct {
	engine   *Engine
	giver    giver
	patience *Handover
	numbers  map[*Listener]int
	progress *progress

	mu     sync.Mutex
	left   int             // loops that have more to give
	loads  map[*loop]int32 // of those that have not, when they had finished
	stayed map[string]int
	homes  sync.WaitGroup // loops whose part has not ended
	over   atomic.Bool    // Run has returned
}

// give is one handover. nil means that it has succeeded.
func (h *Handover) give(ctx context.Context, e *Engine, s *handover.Socket, t handover.Waiter) error {
	g := &giving{engine: e, patience: h, progress: &e.moves.progress, stayed: make(map[string]int)}
	g.progress.begin(false)
	all, numbers, err := e.listenersToGive()
	defer func() {
		for _, ln := range all {
			for _, fd := range ln.FDs {
				e.backend.CloseFd(fd)
			}
		}
	}()
	if err != nil {
		t.Close()
		g.progress.end(err)
		return err
	}
	g.numbers = numbers
	isOurs := make(map[*Listener]bool) // not shared before
	for ln := range numbers {
		isOurs[ln] = !ln.shared.Swap(true)
	}
	links, err := h.giveLinks(e)
	if err != nil {
		t.Close()
		g.keepFiles(isOurs)
		g.progress.end(err)
		return err
	}
	path := handover.Listener{Network: pathNetwork, Address: h.Path, FDs: []int{s.FD()},
		Meta: []byte(strconv.Itoa(len(e.loops)))}
	protocol := handover.NewGiver(t, handover.GiverConfig{
		StateVersion: h.stateVersion(),
		Listeners:    slices.Concat([]handover.Listener{path}, all, links.theirs),
		Secrets:      layerKeys(numbers),
		Timeout:      h.Timeout,
		Queue:        2 * len(e.loops),
		Ready:        g.ready,
		Settled:      g.settled,
	})
	g.giver = protocol
	err = protocol.Run(ctx)
	links.sent()
	g.abort()
	g.homes.Wait()
	var broken *handover.BrokenError
	switch {
	case err == nil:
		links.complete(cmp.Or(h.Timeout, linkTimeout))
		g.close()
	case errors.As(err, &broken):
		for ln := range numbers {
			ln.rest(false, func() {})
		}
	default:
		links.end()
		g.keepFiles(isOurs)
	}
	g.progress.update(func(s *HandoverStats) { s.Stayed = g.stayed })
	g.progress.end(err)
	return err
}

// keepFiles makes the files of sockets this process's own again: nobody else has them.
func (g *giving) keepFiles(isOurs map[*Listener]bool) {
	for ln, ours := range isOurs {
		if ours {
			ln.shared.Store(false)
		}
	}
}

// ready is called when the new process accepts.
func (g *giving) ready(listenersOnly bool) {
	resting := 1
	for ln := range g.numbers {
		resting += len(ln.acceptors)
	}
	var left atomic.Int32
	left.Store(int32(resting))
	for ln := range g.numbers {
		ln.rest(true, func() {
			if left.Add(-1) == 0 {
				g.depart()
			}
		})
	}
	g.progress.update(func(s *HandoverStats) { s.Stage, s.Total = HandoverMoving, g.engine.connections() })
	if listenersOnly {
		g.engine.config.Logger.Warn("engine: the new process cannot read this one's connections: only listeners move")
		g.giver.Finish()
		return
	}
	g.left = len(g.engine.loops)
	g.homes.Add(g.left)
	if left.Add(-1) == 0 {
		g.depart()
	}
}

// depart makes the loops begin, when none accepts any more: a connection that one has accepted for
// another must not come too late.
func (g *giving) depart() {
	for _, l := range g.engine.loops {
		if err := l.do(func() { l.depart(g, g.patience.patience()) }); err != nil { // it has ended
			g.finished(nil, nil)
			g.home()
		}
	}
}

// settled is called when it is known who owns a batch.
func (g *giving) settled(b *handover.Batch) {
	l, d := g.engine.loops[b.Stream], b.Data.(*departure)
	l.do(func() { l.settled(d) }) // an error means that the loop has closed them
}

// abort makes the loops keep what they have not given. It is called when every batch is settled.
func (g *giving) abort() {
	g.over.Store(true)
	for _, l := range g.engine.loops {
		l.do(func() { // an error means that it has ended
			if l.departing != nil {
				l.departing.aborted = true
			}
		})
	}
}

// finished is called when a loop has no more to give. The last one ends the handover. l is nil if
// it has ended.
func (g *giving) finished(l *loop, stayed map[obstacle]int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if l != nil {
		if g.loads == nil {
			g.loads = make(map[*loop]int32)
		}
		g.loads[l] = l.load.Load()
	}
	for o, n := range stayed {
		if n > 0 {
			g.stayed[string(o)] += n
		}
	}
	if g.left--; g.left == 0 {
		g.giver.Finish()
	}
}

// resume takes finished back. It reports false if all loops have finished.
func (g *giving) resume(l *loop, stayed map[obstacle]int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == 0 {
		return false
	}
	g.left++
	delete(g.loads, l)
	for o, n := range stayed {
		if g.stayed[string(o)] -= n; g.stayed[string(o)] <= 0 {
			delete(g.stayed, string(o))
		}
	}
	return true
}

// awaitsOthers reports whether a connection is on its way to a loop that has finished.
func (g *giving) awaitsOthers() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for l, n := range g.loads {
		if l.load.Load() > n {
			return true
		}
	}
	return false
}

// home is called when a loop has nothing more to do with the handover.
func (g *giving) home() { g.homes.Done() }

// number returns 1 + the number of the listener that counts c, 0 if there is none.
func (g *giving) number(c *Conn) int {
	if c.flags&counted == 0 {
		return 0
	}
	if n, ok := g.numbers[c.loop.accepting.admitted.At(c.slot).listener]; ok {
		return n + 1
	}
	return 0
}

// close closes the listeners, which the new process has.
func (g *giving) close() {
	g.engine.mu.Lock()
	g.engine.moves.gone = true
	g.engine.mu.Unlock()
	for ln := range g.numbers {
		ln.Close()
	}
}
