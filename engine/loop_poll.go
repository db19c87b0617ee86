package engine

import (
	"math/bits"
	"runtime"
	"time"
)

// polling decides whether the next turn begins with a poll that does not block.
type polling struct {
	skip     int // turns until the next such poll
	lastSkip int // turns between the last two

	delivered time.Duration // how long the last poll took to deliver, without yields
	firing    bool          // timers are due for which the last turn had no time

	late int // bytes that may still be written in this turn to peers that have let them wait
}

// lateTurn is how much is written in a turn to peers that have let it wait, about. Hundreds may
// begin to read at once, and what others send comes first. One that is left out is reported again.
const lateTurn = 2 << 20

// maxSkip is how many turns in a row may go without a poll that does not block.
const maxSkip = 31

// wait polls and delivers. It polls without blocking first, unless such polls have found nothing
// lately: then a busy loop never pays for the scheduler's part in a blocking call, and a loop with
// little to do pays one call per event. Before it blocks, it yields to other goroutines, which on a
// single processor would otherwise wait until the runtime's monitor preempts the loop.
func (l *loop) wait() {
	busy := !l.dirty.isEmpty() || l.packetsPending() || !l.tasks.queue.Empty() || l.tasks.unfinished != nil ||
		len(l.untold) > 0 || len(l.tasks.thawed) > 0 || len(l.arrivals) > 0 ||
		l.departing != nil && l.departing.busy() || l.polling.firing || l.memory.relieving.Load() ||
		l.memory.sweeping || l.stopping && (l.empty() || len(l.dials) > 0 || l.accepting.any())
	if l.polling.skip == 0 || busy {
		if l.poll(0) > 0 {
			l.polling.lastSkip = 0
			return
		}
		if busy {
			return
		}
		l.polling.lastSkip = min(2*l.polling.lastSkip+1, maxSkip)
		l.polling.skip = l.polling.lastSkip
	} else {
		l.polling.skip--
	}
	l.yieldBeforeBlocking()
	l.callback.inTurn.Store(false)
	runtime.Gosched()
	if l.tasks.queue.Sleep() {
		timeout := l.sleep()
		if timeout == 0 {
			l.callback.inTurn.Store(true) // such a poll does not call Awake
		}
		n := l.poll(timeout)
		l.tasks.queue.Awake()
		if n > 1 {
			l.polling.skip = 0
		}
	}
	l.callback.inTurn.Store(true)
}

// turnTime is how long a turn works, about, before what is left of tasks and timers waits for the
// next one. A broadcast may need a system call for each connection, and thousands of them may have
// the same deadline: others should not wait for that.
const turnTime = 400 * time.Microsecond

// tookLong reports whether the turn has worked for turnTime, and for least after since. The clock
// is that of yields, without the time in which others ran.
func (l *loop) tookLong(since, least time.Duration) bool {
	clock := l.yielding.look - l.yielding.away
	return clock-since > least && max(0, clock-l.now)+l.polling.delivered > turnTime
}

// poll reads the clock before it delivers anything: bytes and timers must not get the time of the
// last turn, which may have been long. It also measures how long the loop works between two looks
// at the kernel.
func (l *loop) poll(timeout time.Duration) int {
	last := l.now
	l.readClock()
	l.asked = l.tick
	worked := l.now - last
	l.reading.fresh, l.polling.late = freshTurn, lateTurn
	l.beginDelivery(l.now)
	away := l.yielding.away
	n, err := l.poller.Poll(timeout, (*sink)(l))
	if err != nil {
		l.driverErr = err
	}
	begin := l.now // of Awake, if it was called
	l.readClock()
	l.polling.delivered = l.now - begin - (l.yielding.away - away)
	if timeout != 0 {
		l.worked(worked)
		worked = 0
	}
	l.worked(worked + l.now - begin)
	return n
}

// worked counts a stretch of work by its length.
func (l *loop) worked(took time.Duration) {
	l.stats.Worked += took - l.yielding.away
	l.yielding.away = 0
	l.stats.Lags[min(bits.Len64(uint64(took)>>10), LagBuckets-1)]++
	if f := l.config.Observer.Worked; f != nil {
		l.enter(nil)
		f(l.index, took)
		l.exit()
	}
}

// readClock sets the loop's time, which stays the same until the next call.
func (l *loop) readClock() {
	l.now = l.poller.Now()
	l.tick = tickOf(l.now)
}
