package engine

import (
	"math/bits"
	"runtime"
	"time"
)

// polling decides whether the next turn begins with a poll that does not block.
type polling struct {
	skip     int // turns to go until there is one
	lastSkip int // how many were skipped before the last one
}

// maxSkip is how many turns in a row may go without a poll that does not block.
const maxSkip = 31

// wait polls and delivers. A poll that cannot block comes first, unless such polls have found nothing lately: a loop
// that has work then never pays for the scheduler's part in a blocking call, and one that has little pays one call per
// event. Before it blocks, a loop lets other goroutines run: with one processor nobody else would before the runtime's
// monitor takes it away.
func (l *loop) wait() {
	busy := len(l.dirty.conns) > 0 || l.packetsPending() || !l.tasks.queue.Empty() || l.tasks.unfinished != nil || len(l.untold) > 0
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
	l.callback.inTurn.Store(false)
	runtime.Gosched()
	if l.tasks.queue.Sleep() {
		timeout := l.sleep()
		if timeout == 0 {
			l.callback.inTurn.Store(true) // no Awake will come
		}
		n := l.poll(timeout)
		l.tasks.queue.Awake()
		if n > 1 {
			l.polling.skip = 0
		}
	}
	l.callback.inTurn.Store(true)
}

// poll looks at the clock before it delivers anything, so that bytes and timers do not get the time of the turn before, which
// may have been long. It also measures how long the loop works without looking at the kernel.
func (l *loop) poll(timeout time.Duration) int {
	worked := -l.now
	l.readClock()
	worked += l.now
	l.reading.token = 0
	n, err := l.poller.Poll(timeout, (*sink)(l))
	if err != nil {
		l.driverErr = err
	}
	begin := l.now // Awake's, if it was called
	l.readClock()
	if timeout != 0 {
		l.worked(worked)
		worked = 0
	}
	l.worked(worked + l.now - begin)
	return n
}

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

// readClock reads the time, which then stands until it does so again.
func (l *loop) readClock() {
	l.now = l.poller.Now()
	l.tick = tickOf(l.now)
}
