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
// User code may panic. The panic ends the turn, and caught closes the connection that the call was
// for (or drops the datagram, closes the session, logs the posted function). Then the next turn
// begins. For that, every step keeps this invariant: before it calls user code, it has taken off
// its list what it is working on, and the rest of the list is in a field of the loop or the
// connection, where the same step finds it in the next turn. The deferred call in turns is the only
// recover; no event pays for one.
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
	memory    memory
	tasks     tasks
	accepting accepting
	packets   packets
	watched   watched

	watermarks paged.Array[watermarks] // by slot, of SetWatermarks

	releases map[*Conn]leftover    // of connections that were released in this turn
	grace    map[*Conn]*Timer      // timers of SlowClose
	looks    map[*Conn]look        // what the kernel told about slow peers
	traffic  *paged.Array[traffic] // by slot, while Inspect is running

	dials []*dialing // calls of Dial whose done was not called

	stopping  bool    // Shutdown or Close has begun
	untold    []*Conn // connections that do not know that yet
	panicLogs [panicKinds]logLimit
	driverErr error // the driver's error, which ends the loop
	ended     bool  // shut was called

	stats LoopStats // the counters; snapshot adds the rest
}

// callback is the call of user code in progress.
type callback struct {
	// inTurn is false while the loop waits for events or yields to other goroutines.
	inTurn atomic.Bool

	conn     *Conn // the connection that the call is for; nil: none
	active   bool
	feeding  *Conn // conn, during Feed: its input must stay where it is
	messages int   // how many this Feed may still deliver
	work     int   // of AddWork, in this Feed
}

func newLoop(e *Engine, index int, p driver.Poller, s driver.Sockets) *loop {
	l := &loop{engine: e, config: &e.config, index: index, poller: p, sockets: s, memory: newMemory(&e.config)}
	l.accepting.spare = -1
	l.reading.messageCost = l.config.TurnBytes / l.config.TurnMessages
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
	for !l.turns() {
	}
	l.shut()
}

// turns runs turns until the loop has ended, or until user code panics: see loop.
func (l *loop) turns() (done bool) {
	defer l.caught()
	for !l.turn() {
	}
	return true
}

// turn is one turn of the loop: wait, deliver, settle, run posted tasks, fire timers. It reports
// whether that was the last one.
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
	if n := l.buffered(); n != l.memory.published {
		l.publish(n)
	}
	if l.driverErr == nil && !(l.stopping && l.empty()) {
		return false
	}
	l.last()
	return true
}

// empty reports whether a stopping loop has nothing left to wait for.
func (l *loop) empty() bool {
	return l.conns.Len() == 0 && l.packets.conns.Len() == 0 && !l.packetsPending() && l.load.Load() == 0
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
		l.settle(c)
	}
}
