package engine

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
	"github.com/myriadnet/myriad/engine/internal/paged"
	"github.com/myriadnet/myriad/engine/internal/table"
	"github.com/myriadnet/myriad/engine/internal/taskqueue"
	"github.com/myriadnet/myriad/engine/internal/wheel"
)

const (
	inputSize   = 260 << 10 // the buffer that a loop reads into: usual sizes of messages are powers of two, and have headers
	tasksTurn   = 256       // posted tasks per turn
	turnReads   = 64        // reads that take up a connection's share of a turn, however little they give
	acceptTurn  = 64        // connections that a listener hands over per turn
	lastAccepts = 4096      // connections that a listener takes out of its backlog at shutdown, at most
	corkedMax   = 64        // connections other than the current one that hold a cork at the same time
	longLull    = 31        // turns without a poll that does not block, at most
)

// Loop is one event loop: a goroutine, a driver, and everything that the loop's connections share. Nothing in it is
// locked, because nothing but the task queue and the load is touched by another goroutine.
type loop struct {
	engine *Engine
	config *Config
	index  int
	driver driver.Driver

	conns          table.Table[Conn]
	origins        paged.Array[origin] // by slot, of counted connections
	timers         table.Table[Timer]
	wheel          wheel.Wheel
	listeners      []*Listener
	packetConns    table.Table[PacketConn]
	receiving      receiving
	outgoing       outgoing
	refusedPackets []refusedPacket
	endedPackets   []*PacketConn
	session        *Session // that a call is under way for
	endedSessions  []*Session
	releases       map[*Conn]leftover // of this turn
	grace          map[*Conn]*Timer   // of SlowClose
	spare          int                // a descriptor for Listener.refuse; -1: none
	refusing       bool               // what is accepted is closed
	pool           buffer.Pool
	input          []byte   // what a driver reads into
	scratch        []byte   // AvailableBuffer of a connection that cannot be written to now
	vector         [][]byte // of writev, cleared after use

	current  *Conn // the connection that a call of user code is under way for
	calling  bool  // a call of user code is under way
	feeding  *Conn // current, if the call is Feed: its input must stay where it is
	messages int   // that the current Feed may still deliver

	reader      driver.Token // the connection that is being read from; 0: none in this turn
	bytes       int          // that may still be read from it in this turn
	messageCost int          // what a message takes of them at least

	marked  []*Conn // touched connections, for the end of the turn
	flushed int     // marked[:flushed] were flushed early
	next    int     // marked[:next] were settled

	now  time.Duration // the driver's clock at the beginning of the turn
	tick wheel.Tick    // the same in ticks
	lull int           // turns to go until the next poll that does not block
	calm int           // how long the last lull was

	tasks      taskqueue.Queue[task]
	unfinished *taskqueue.Node[task] // of Each, when a panic interrupted it
	load       atomic.Int32          // connections, those that are on their way here included

	buffered  int          // what publish has told the engine
	share     atomic.Int64 // the same, for other loops
	relieving atomic.Bool  // relieve is posted
	posted    atomic.Int64 // bytes in tasks that have not been run

	traffic *paged.Array[traffic] // by slot, while Inspect is under way

	stats LoopStats // what is counted; snapshot adds the rest

	stopping  bool    // Shutdown: connections are told to end
	untold    []*Conn // connections that have not been told yet
	driverErr error   // of the driver
	ended     bool    // shut was called
}

func newLoop(e *Engine, index int, d driver.Driver) *loop {
	l := &loop{engine: e, config: &e.config, index: index, driver: d, spare: -1}
	l.messageCost = l.config.TurnBytes / l.config.TurnMessages
	l.input = make([]byte, min(inputSize, max(l.config.TurnBytes, 2*smallRest)))
	l.scratch = make([]byte, buffer.Room)
	l.vector = make([][]byte, driver.MaxIovecs)
	l.clock()
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
	for !l.turns() {
	}
	l.shut()
}

// turns is run's inner loop. The deferred call makes a panic of user code cost one connection; it stands here, and not
// around every call, because here it is set up once and not once per event.
func (l *loop) turns() (done bool) {
	defer l.caught()
	for !l.turn() {
	}
	return true
}

// turn is one turn of the loop: wait, deliver, settle, run posted tasks, turn the wheel. Every step takes up where a
// panic left it.
func (l *loop) turn() (done bool) {
	l.stats.Turns++
	l.wait()
	l.settleMarked()
	l.runTasks()
	l.fire()
	l.continueStop()
	l.settleMarked()
	if l.packetsPending() {
		l.settlePackets()
	}
	if n := l.pool.Bytes(); n != l.buffered {
		l.publish(n)
	}
	return l.driverErr != nil || l.stopping && l.conns.Len() == 0 && l.packetConns.Len() == 0 && !l.packetsPending() && l.load.Load() == 0
}

// wait polls and delivers. A poll that cannot block comes first, unless such polls have found nothing lately: a loop
// that has work then never pays for the scheduler's part in a blocking call, and one that has little pays one call per
// event. Before it blocks, a loop lets other goroutines run: with one processor nobody else would before the runtime's
// monitor takes it away.
func (l *loop) wait() {
	busy := len(l.marked) > 0 || l.packetsPending() || !l.tasks.Empty() || l.unfinished != nil || len(l.untold) > 0
	if l.lull == 0 || busy {
		if l.poll(0) > 0 {
			l.calm = 0
			return
		}
		if busy {
			return
		}
		l.calm = min(2*l.calm+1, longLull)
		l.lull = l.calm
	} else {
		l.lull--
	}
	runtime.Gosched()
	if !l.tasks.Sleep() {
		return
	}
	n := l.poll(l.sleep())
	l.tasks.Awake()
	if n > 1 {
		l.lull = 0
	}
}

// poll looks at the clock before it delivers anything, so that bytes and timers do not get the time of the turn before, which
// may have been long. It also measures how long the loop works without looking at the kernel.
func (l *loop) poll(timeout time.Duration) int {
	worked := -l.now
	l.clock()
	worked += l.now
	l.reader = 0
	n, err := l.driver.Poll(timeout, (*sink)(l))
	if err != nil {
		l.driverErr = err
	}
	begin := l.now // Awake's, if it was called
	l.clock()
	if timeout != 0 {
		l.worked(worked)
		worked = 0
	}
	l.worked(worked + l.now - begin)
	return n
}

// Awake implements driver.Sink.
func (s *sink) Awake() { (*loop)(s).clock() }

// worked counts a stretch of work by how long it took.
func (l *loop) worked(took time.Duration) {
	l.stats.Worked += took
	l.stats.Lags[min(bits.Len64(uint64(took)>>10), LagBuckets-1)]++
	if f := l.config.Observer.Worked; f != nil {
		l.enter(nil)
		f(l.index, took)
		l.exit()
	}
}

// clock reads the time, which then stands until it does so again.
func (l *loop) clock() {
	l.now = l.driver.Now()
	l.tick = tickOf(l.now)
}

// enter marks the beginning of a call of user code on behalf of c, which may be nil.
func (l *loop) enter(c *Conn) {
	l.current, l.calling = c, true
}

// exit marks its end.
func (l *loop) exit() { l.current, l.calling = nil, false }

// exitAndSettle marks its end, and settles what the call did to c.
func (l *loop) exitAndSettle(c *Conn) {
	l.exit()
	if c != nil && c.flags&touched != 0 {
		l.settle(c)
	}
}

// list notes c for the end of the turn. Only so many connections hold a cork at a time, so that a broadcast to ten
// thousand does not need ten thousand of them; the first ones are written early.
func (l *loop) list(c *Conn) {
	l.marked = append(l.marked, c)
	if len(l.marked)-l.flushed <= corkedMax {
		return
	}
	e := l.marked[l.flushed]
	l.flushed++
	if e.flags&blocked == 0 && e.state < ended && !e.out.Empty() {
		e.flush()
		if e.state == open && e.out.Empty() && e.flags&(refeed|writeClosed) == 0 {
			e.flags &^= touched | listed
		}
	}
}

// settleMarked settles what was listed before it began; what its own calls touch waits for the next turn.
func (l *loop) settleMarked() {
	if len(l.marked) == 0 {
		return
	}
	for n := len(l.marked); l.next < n; {
		c := l.marked[l.next]
		l.next++ // before the call, which may panic
		l.flushed = max(l.flushed, l.next)
		if c.flags&listed == 0 {
			continue
		}
		c.flags &^= listed
		if c.flags&touched != 0 {
			l.settle(c)
		}
	}
	left := copy(l.marked, l.marked[l.next:])
	clear(l.marked[left:])
	l.marked = l.marked[:left]
	l.next, l.flushed = 0, 0
}

// shut ends the loop: every task that was accepted is run or refused, and the driver is closed.
func (l *loop) shut() {
	l.ended = true
	l.tasks.Close()
	for l.discardTask() {
	}
	for c := range l.conns.All() { // only after the driver failed
		c.end(ErrReset)
		l.finish(c)
	}
	l.publish(l.pool.Bytes())
	for l.endPackets(); l.packetConns.Len() > 0 || l.packetsPending(); {
		l.settlePackets()
	}
	l.closeListeners()
	if l.spare >= 0 {
		l.engine.backend.CloseFd(l.spare)
	}
	l.driver.Shut()
	l.engine.loopDone(l)
}
