package main

import (
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myriadnet/myriad/engine"
)

// loopClock counts stretches of a loop's work by the processor time that they took. Unlike
// LoopStats.Lags, that leaves out the time in which other goroutines and processes ran. It includes
// what the runtime and the kernel did on the loop's thread.
type loopClock struct {
	last   time.Duration
	counts [engine.LagBuckets]atomic.Uint64
	most   atomic.Int64
}

// start gives the loop a thread of its own, whose clock can be read. It is called on the loop.
func (c *loopClock) start() {
	runtime.LockOSThread()
	c.last = threadTime()
}

// worked is Observer.Worked of the only loop.
func (c *loopClock) worked(int, time.Duration) {
	now := threadTime()
	took := now - c.last
	c.last = now
	c.counts[min(bits.Len64(uint64(took)>>10), engine.LagBuckets-1)].Add(1)
	if int64(took) > c.most.Load() {
		c.most.Store(int64(took))
	}
}

// read returns the counts, and the longest stretch since the last call.
func (c *loopClock) read() (counts [engine.LagBuckets]uint64, most time.Duration) {
	for i := range counts {
		counts[i] = c.counts[i].Load()
	}
	return counts, time.Duration(c.most.Swap(0))
}

// threadTime returns how long the calling thread has used a processor.
func threadTime() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t)
	return time.Duration(t.Nano())
}
