package engine

import (
	"errors"
	"time"

	"github.com/myriadnet/myriad/engine/internal/handover"
)

// Giving is a handover to another engine, whose protocol is a test's.
type Giving struct{ *giving }

// BeginGiving begins a handover, as when the other engine has said that it is ready.
func (e *Engine) BeginGiving(h *Handover, to giver) Giving {
	g := &giving{engine: e, giver: to, patience: h, progress: &e.moves.progress,
		numbers: make(map[*Listener]int), stayed: make(map[string]int)}
	g.progress.begin(false)
	for i, ln := range e.moves.open {
		g.numbers[ln] = i
	}
	g.ready(false)
	return Giving{g}
}

// Settled is GiverConfig.Settled.
func (g Giving) Settled(b *handover.Batch) { g.settled(b) }

// Abort is what follows when the protocol has ended.
func (g Giving) Abort() { g.abort() }

// AtHome reports whether all loops are done with an aborted handover.
func (g Giving) AtHome() bool {
	for _, l := range g.engine.loops {
		if l.departing != nil || l.hasTasks() {
			return false
		}
	}
	return true
}

// End is what give does when all loops are done, and both engines go on.
func (g Giving) End(err error) error {
	home := make(chan struct{})
	go func() {
		g.homes.Wait()
		close(home)
	}()
	select {
	case <-home:
	case <-time.After(10 * time.Second):
		return errors.New("a loop has not said that it is done")
	}
	for ln := range g.numbers {
		ln.rest(false, func() {})
	}
	g.progress.end(err)
	return nil
}

func (l *loop) hasTasks() bool {
	return !l.ended && (!l.tasks.queue.Empty() || l.tasks.unfinished != nil || len(l.tasks.thawed) > 0)
}

// BeginTaking makes what numbers ln, as if it were inherited.
func (e *Engine) BeginTaking(ln *Listener) {
	e.moves.progress.begin(true)
	e.moves.inherited = []*inherited{{taken: ln}}
}

// Own is TakerConfig.Own, of a handover from an engine with so many loops.
func (e *Engine) Own(h *Handover, loops int, b *handover.Incoming, refused handover.Set) {
	k := &taking{engine: e, from: h, loops: loops}
	k.read(b)
	k.own(b, refused)
}

// Away reports whether a descriptor may have no loop: of a connection that is frozen, or on its
// way.
func (e *Engine) Away() bool {
	for _, l := range e.loops {
		if len(l.arrivals) > 0 || l.hasTasks() {
			return true
		}
		for c := range l.conns.All() {
			if c.state == frozen {
				return true
			}
		}
	}
	return false
}

// Descriptor returns that of c's socket.
func Descriptor(c *Conn) int { return int(c.fd) }

// IsFrozen reports whether c is on its way to another engine.
func IsFrozen(c *Conn) bool { return c.state == frozen }

// PostCost is what a function that is posted counts.
const PostCost = taskCost + closureCost

// Posted returns what waits for a loop, in bytes.
func (e *Engine) Posted(loop int) int { return int(e.loops[loop].tasks.bytes.Load()) }

// CopyListeners returns how many listeners a successor would get.
func (e *Engine) CopyListeners() (int, error) {
	all, _, err := e.listenersToGive()
	for _, ln := range all {
		for _, fd := range ln.FDs {
			e.backend.CloseFd(fd)
		}
	}
	return len(all), err
}

// ShutdownFuncs returns how many functions of OnShutdown the engine keeps.
func (e *Engine) ShutdownFuncs() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.onShutdown)
}

// Hold makes listeners wait for StartHeld, as after Inherit.
func (e *Engine) Hold() { e.moves.holding = true }

// StartHeld is what happens when this process accepts.
func (e *Engine) StartHeld() { e.startHeld() }
