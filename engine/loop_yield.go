package engine

import "time"

// yielding decides when a busy loop lets other goroutines run.
//
// A loop that always finds events makes only system calls that the Go scheduler does not see, so it
// keeps its processor until the runtime preempts it, every 10 ms. The runtime looks for ready
// sockets of other goroutines no more often, as long as all processors are busy. So the loop yields
// by itself: between two events, connections or tasks, never in a call of user code. What that
// costs and gives, and what else was tried, is in docs/decisions/0014-yield.md.
type yielding struct {
	left  int           // work until the clock is read: see spend
	more  int           // to be added to left when the next delivery begins: see firstWork
	wrote uint64        // stats.BytesWritten, as counted for left
	work  int           // what left begins with
	look  time.Duration // when the clock was read
	next  time.Duration // when the loop yields, at the earliest
	eager int           // yields that come early, since another goroutine ran not long ago
	away  time.Duration // spent in yields, and not subtracted from Stats' Worked yet
}

const (
	// yieldWork is the work between two looks at the clock, in bytes. It takes about 50 us. If it
	// takes more than yieldLook, because callbacks do other things, there is less work between
	// them. They may begin to at any time, so there is no more than firstWork before the first look
	// of a delivery.
	yieldWork = 64 << 10
	yieldLook = 100 * time.Microsecond
	firstWork = 8 * eventWork
	// eventWork is what an event costs besides its bytes.
	eventWork = 2 << 10
	// closeWork is what the end of a connection costs besides.
	closeWork = 3 * eventWork

	// tickWork is the same for a loop with a Ticker: callbacks that suddenly take long must not
	// make ticks late. A look at the clock is 40 ns.
	tickWork = 2 * eventWork

	yieldEvery = 250 * time.Microsecond
	yieldQuiet = time.Millisecond      // the same while nobody else runs
	yieldIdle  = 10 * time.Millisecond // the same while a processor is idle
	// shortYield is the longest time for a yield in which nobody else ran.
	shortYield = 25 * time.Microsecond
	// eagerYields is how many such yields there are before they become rare: 2 ms of them. So a
	// request, for which goroutines wake up one after the other, waits for the first of them only.
	// More would cost a loop that nobody waits for: one yield in fifty is long there, too, because
	// of interrupts.
	eagerYields = 8
)

// spend counts work, besides what was written, and yields or ticks when it is time to. No call of
// user code may be in progress. Ticks call user code, which may panic.
func (l *loop) spend(work int) {
	work += int(l.stats.BytesWritten - l.yielding.wrote)
	l.yielding.wrote = l.stats.BytesWritten
	if l.yielding.left -= work; l.yielding.left < 0 {
		l.mayYield()
		l.checkDelivery()
		l.tickBetween()
	}
}

// yieldBeforeBlocking is for a loop that is out of events for a moment. While it blocks, it keeps
// its processor until the runtime's monitor comes by, which may take 10 ms.
func (l *loop) yieldBeforeBlocking() {
	if l.yielding.left+l.yielding.more < l.yielding.work && l.now >= l.yielding.next {
		l.mayYield()
	}
}

// mayYield yields if it is time to. After others have run, the loop runs for three quarters of the
// time that they did: two loops that share a processor would run for 10 ms each, for ever, once one
// of them has.
func (l *loop) mayYield() {
	y := &l.yielding
	begin := l.poller.Now()
	if took := begin - max(y.look, l.now); took > yieldLook { // it has not blocked since l.now
		y.work = max(min(y.work/2, int(int64(y.work)*int64(yieldLook)/int64(took))), eventWork)
	} else {
		y.work = min(max(2*y.work, eventWork), yieldWork)
	}
	if l.ticking.next != never {
		y.work = min(y.work, tickWork)
	}
	y.left, y.more, y.look = y.work, 0, begin
	if begin < y.next {
		return
	}
	l.callback.inTurn.Store(false)
	idle := l.poller.Yield()
	l.stats.Yields++
	l.callback.inTurn.Store(true)
	end := l.poller.Now()
	y.away += end - begin
	wait := yieldEvery
	switch took := end - begin; {
	case idle:
		wait, y.eager = yieldIdle, 0
	case took > shortYield:
		wait, y.eager = min(max(yieldEvery, took*3/4), yieldIdle), eagerYields
	case y.eager == 0:
		wait = yieldQuiet
	default:
		y.eager--
	}
	if len(l.config.CPUs) > 0 { // it has a thread of its own, and every yield switches threads
		wait = max(wait, yieldQuiet)
	}
	y.look, y.next = end, end+wait
}
