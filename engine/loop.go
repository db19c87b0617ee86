package engine

import (
	"runtime"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/paged"
	"github.com/myriadnet/myriad/engine/internal/table"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// loop is one event loop: a goroutine, a driver, and everything that the loop's connections share. Only the loop's
// goroutine touches it, without a lock; the exceptions are atomic, and the queue of tasks is made for it.
//
// # Panics
//
// User code may panic wherever the loop calls it: between enter and exit. The panic ends the turn there and then, and
// caught makes it cost the connection that it happened for (or the datagram, the session, the posted function). The next
// turn begins at once. So the invariant is: whatever a step has taken off a list is done or noted before the step calls
// user code, and what is left of the list is in a field of the loop or of the connection, where the same step finds it in
// the next turn. No deferred call and no recover stands on the way of an event: turns has the only one.
//
// A panic of the loop's own code is not caught: it ends the process.
type loop struct {
	engine  *Engine
	config  *Config
	index   int
	poller  driver.Poller
	sockets driver.Sockets

	now   time.Duration // the driver's clock, as of the beginning of the turn
	tick  wheel.Tick    // the same in ticks
	wheel wheel.Wheel   // of timers and of the connections' times

	conns  table.Table[Conn]
	timers table.Table[Timer]
	load   atomic.Int32 // connections, those that are on their way here included

	callback  callback
	reading   reading
	dirty     dirtyList
	polling   polling
	memory    memory
	tasks     tasks
	accepting accepting
	packets   packets
	watched   watched

	watermarks paged.Array[watermarks] // by slot, of SetWatermarks

	releases map[*Conn]leftover    // of this turn
	grace    map[*Conn]*Timer      // of SlowClose
	traffic  *paged.Array[traffic] // by slot, while Inspect is under way

	stopping  bool    // Shutdown or Close has begun: connections are told to end
	untold    []*Conn // connections that were not told yet
	driverErr error   // ended the loop
	ended     bool    // shut was called

	stats LoopStats // what is counted; snapshot adds the rest
}

// callback is the call of user code that is under way.
type callback struct {
	inTurn atomic.Bool // the loop runs: it does not wait for events, or for its goroutine's turn

	conn     *Conn // whom it is for, nil if for nobody
	active   bool
	feeding  *Conn // conn, if the call is Feed: its input must stay where it is
	messages int   // that this Feed may still deliver
}

func newLoop(e *Engine, index int, p driver.Poller, s driver.Sockets) *loop {
	l := &loop{engine: e, config: &e.config, index: index, poller: p, sockets: s, memory: newMemory(e.config.TurnBytes)}
	l.accepting.spare = -1
	l.reading.messageCost = l.config.TurnBytes / l.config.TurnMessages
	l.readClock()
	return l
}

// run turns the loop until it has nothing left to live for.
func (l *loop) run() {
	if cpus := l.config.CPUs; len(cpus) > 0 {
		runtime.LockOSThread() // for good: the thread ends with the goroutine, and its binding with it
		if err := bindThread(cpus[l.index%len(cpus)]); err != nil {
			l.config.Logger.Error("engine: cannot bind a loop to its processor", "loop", l.index, "error", err)
		}
	}
	l.watched.goroutine.Store(goroutineNumber())
	l.callback.inTurn.Store(true)
	for !l.turns() {
	}
	l.shut()
}

// turns is run's inner loop. It ends early when user code panics: see loop.
func (l *loop) turns() (done bool) {
	defer l.caught()
	for !l.turn() {
	}
	return true
}

// turn is one turn of the loop: wait, deliver, settle, run posted tasks, turn the wheel.
func (l *loop) turn() (done bool) {
	l.stats.Turns++
	if l.watched.asked.Load() {
		l.answer()
	}
	l.wait()
	l.settleDirty()
	l.runTasks()
	l.fire()
	l.continueStop()
	l.settleDirty()
	if l.packetsPending() {
		l.settlePackets()
	}
	if n := l.memory.pool.Bytes(); n != l.memory.published {
		l.publish(n)
	}
	return l.driverErr != nil || l.stopping && l.empty()
}

// empty reports whether nothing is left that a stopping loop has to wait for.
func (l *loop) empty() bool {
	return l.conns.Len() == 0 && l.packets.conns.Len() == 0 && !l.packetsPending() && l.load.Load() == 0
}

// enter marks the beginning of a call of user code on behalf of c, which may be nil.
func (l *loop) enter(c *Conn) {
	l.callback.conn, l.callback.active = c, true
}

// exit marks its end.
func (l *loop) exit() { l.callback.conn, l.callback.active = nil, false }

// exitAndSettle marks its end, and settles what the call did to c.
func (l *loop) exitAndSettle(c *Conn) {
	l.exit()
	if c != nil && c.flags&touched != 0 {
		l.settle(c)
	}
}
