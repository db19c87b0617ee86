package engine

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/paged"
	"github.com/myriadnet/myriad/engine/internal/table"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

// loop is one event loop: a goroutine, a driver, and everything that the loop's connections share.
// Only the loop's goroutine touches it. Other goroutines touch only atomic fields and the queue of
// tasks.
//
// # Calls of user code
//
// Every call of user code stands between enter and exit, and no such call begins inside another. A
// method of Conn that user code calls changes fields and touches the connection; whatever has to
// call user code in turn is left to settle, which runs after the call: see dirtyList.
//
// # Panics
//
// User code may panic. The panic ends the step of the turn that it is in, and caught closes the
// connection that the call was for (or drops the datagram, closes the session, logs the posted
// function). Then the turn goes on with its next step: a peer whose every datagram makes a handler
// panic must not keep tasks and timers from running. For that, every step keeps this invariant:
// before it calls user code, it has taken off its list what it is working on, and the rest of the
// list is in a field of the loop or the connection, where the same step finds it in the next turn.
// The deferred call in turns is the only recover for events; no event pays for one.
//
// runtime.Goexit in user code is treated in the same way. It ends the loop's goroutine, and run
// begins another one, once nothing of the first is left.
//
// A panic of the engine's own code is not caught: it ends the process.
type loop struct {
	engine  *Engine
	config  *Config
	index   int
	poller  driver.Poller
	sockets driver.Sockets

	now   time.Duration // the driver's clock, read at the start of the turn
	tick  wheel.Tick    // the same in ticks
	asked wheel.Tick    // when the kernel was asked for events last
	wheel wheel.Wheel   // timers, and the connections' times

	conns  table.Table[Conn]
	timers table.Table[Timer]
	load   atomic.Int32 // connections, including those on their way to this loop

	callback  callback
	reading   reading
	dirty     dirtyList
	polling   polling
	yielding  yielding
	ticking   ticking
	memory    memory
	tasks     tasks
	accepting accepting
	packets   packets
	watched   watched

	watermarks paged.Array[watermarks] // by slot, of SetWatermarks
	layers     layers
	headers    headers

	releases map[*Conn]leftover    // of connections that were released in this turn
	grace    map[*Conn]*Timer      // timers of SlowClose
	looks    map[*Conn]look        // what the kernel told about slow peers
	traffic  *paged.Array[traffic] // by slot, while Inspect is running

	dials []*dialing // calls of Dial whose done was not called

	step      step        // of the turn, which is next if a panic interrupts this one
	handled   bool        // caught has ended a call since turns began
	stopping  bool        // Shutdown or Close has begun
	cutting   bool        // Close has begun: every connection is aborted
	leaving   bool        // last has begun
	untold    []*Conn     // connections that do not know that yet
	departing *departing  // nil: no handover to another process is in progress
	arrivals  []*arrivals // connections from another process, which have no Conn yet
	unloaded  logLimit    // of messages about those that could not be loaded
	panicLogs [panicKinds]logLimit
	driverErr error         // the driver's error, which ends the loop
	ended     bool          // shut was called
	over      chan struct{} // closed when shut has returned: nothing changes any more

	stats LoopStats // the counters; snapshot adds the rest
}

// callback is the call of user code in progress.
type callback struct {
	// inTurn is false while the loop waits for events or yields to other goroutines.
	inTurn atomic.Bool

	conn     *Conn // the connection that the call is for; nil: none
	active   bool
	feeding  *Conn  // conn, during Feed: its input must stay where it is
	input    []byte // what this Feed was offered
	behind   int    // bytes at the end of input that were not offered: a record's beginning
	chunked  bool   // input is in feeding.in
	left     int    // of the connection's share of the turn, in bytes, when it was offered this
	messages int    // how many it may still deliver
	look     int    // how many are left of these when the clock is read: see lookInFeed
	counted  int    // messages, when the last Feed began
	work     int    // of AddWork, since it was offered this
	wrote    uint64 // stats.BytesWritten, when it was offered this
	writes   uint64 // stats.Writes
	flooded  bool   // Yield has stopped this Feed since the peer is over the high watermark
}

func newLoop(e *Engine, index int, p driver.Poller, s driver.Sockets) *loop {
	l := &loop{engine: e, config: &e.config, index: index, poller: p, sockets: s, memory: newMemory(&e.config),
		ticking: ticking{next: never}, over: make(chan struct{})}
	l.accepting.spare = -1
	l.reading.messageCost = l.config.TurnBytes / l.config.TurnMessages
	l.reading.leastCost = l.config.TurnBytes / turnReads
	l.reading.unit = bits.Len(uint(max(l.reading.leastCost, 1) - 1))
	l.readClock()
	return l
}

// run turns the loop until it has ended.
func (l *loop) run() {
	if cpus := l.config.CPUs; len(cpus) > 0 {
		// It is never unlocked: the thread, with its binding, ends with the goroutine.
		runtime.LockOSThread()
		if err := bindThread(cpus[l.index%len(cpus)]); err != nil {
			l.config.Logger.Error("engine: cannot bind a loop to its processor", "loop", l.index, "error", err)
		}
	}
	l.watched.goroutine.Store(goroutineNumber())
	l.callback.inTurn.Store(true)
	defer l.goOn()
	for !l.turns() {
	}
	l.shut()
}

// goOn is deferred by run. If runtime.Goexit ends the goroutine, another one turns the loop. That
// cannot be done any earlier: deferred functions of this goroutine still use the loop. Nor can
// caught tell: a panic in a function that runtime.Goexit runs is all that it sees, and the
// goroutine ends behind it.
func (l *loop) goOn() {
	if l.handled && !l.ended {
		go l.run()
	}
}

// turns runs turns until the loop has ended, or until user code panics: see loop.
func (l *loop) turns() (done bool) {
	l.handled = false
	defer l.caught()
	for !l.turn() {
	}
	return true
}

// step is a step of a turn, after which a panic may have interrupted it.
type step uint8

const (
	waitStep step = iota
	settleStep
	tickStep
	taskStep
	timerStep
	stopStep
	handoverStep
	settleAgainStep
	packetStep
	lastStep
)

// turn is one turn of the loop: wait, deliver, settle, tick, run posted tasks, fire timers. It
// reports whether that was the last one. It begins with l.step, which is the first step unless a
// panic has interrupted the turn.
func (l *loop) turn() (done bool) {
	switch l.step {
	case waitStep:
		l.stats.Turns++
		l.ticking.settling = false // a panic may have left it
		if l.watched.asked.Load() {
			l.answer()
		}
		l.step = settleStep
		l.wait()
		fallthrough
	case settleStep:
		l.step = tickStep
		l.settleDirty()
		fallthrough
	case tickStep:
		l.step = taskStep
		l.runTicks()
		fallthrough
	case taskStep:
		l.step = timerStep
		if l.memory.relieving.Load() {
			l.relieve()
		}
		l.runTasks()
		fallthrough
	case timerStep:
		l.step = stopStep
		l.fire()
		fallthrough
	case stopStep:
		l.step = handoverStep
		l.continueStop()
		fallthrough
	case handoverStep:
		l.step = settleAgainStep
		if l.departing != nil {
			l.continueDeparture()
		}
		if len(l.arrivals) > 0 {
			l.continueArrival()
		}
		fallthrough
	case settleAgainStep:
		l.step = packetStep
		l.settleDirty()
		fallthrough
	case packetStep:
		l.step = lastStep
		if l.packetsPending() {
			l.settlePackets()
		}
		fallthrough
	case lastStep:
		l.memory.sweep()
		if n := l.buffered(); n != l.memory.published {
			l.publish(n)
		}
		if l.driverErr != nil || l.leaving || l.stopping && l.empty() {
			l.step = lastStep // also if a panic interrupts last
			l.last()
			return true
		}
	}
	l.step = waitStep
	return false
}

// empty reports whether a stopping loop has nothing left to wait for.
func (l *loop) empty() bool {
	return l.conns.Len() == 0 && l.packets.conns.Len() == 0 && !l.packetsPending() && l.load.Load() == 0 &&
		!l.accepting.any()
}

// enter marks the beginning of a call of user code for c, which may be nil.
func (l *loop) enter(c *Conn) {
	l.callback.conn, l.callback.active = c, true
}

// exit marks the end of the call.
func (l *loop) exit() { l.callback.conn, l.callback.active = nil, false }

// exitAndSettle marks the end of the call, and settles c if the call has touched it.
func (l *loop) exitAndSettle(c *Conn) {
	l.exit()
	if c != nil && c.flags&touched != 0 {
		l.settleInBudget(c)
	}
}
