package engine

import (
	"sync"
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/internal/handover"
)

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
