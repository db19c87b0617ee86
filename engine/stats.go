package engine

import (
	"context"
	"math"
	"time"
)

// Stats is what an engine's loops have done so far and hold now: the sum, and each of them.
type Stats struct {
	LoopStats // the sum; Lag is the longest
	Loops     []LoopStats
}

// LoopStats is what one loop has done so far and holds now. Numbers of the past only grow.
type LoopStats struct {
	Connections int // open, closing or being dialled
	Buffers     int // chunks that connections hold, for input that was not consumed and output that was not sent
	Buffered    int // the size of those chunks, in bytes
	Timers      int // of connections and AfterFunc
	Tasks       int // posted, and waiting for their turn
	Posted      int // bytes of Handle.Send and PostBytes in them

	Accepted uint64           // connections, those of Adopt included, not counting Refused
	Refused  [Refusals]uint64 // connections that were closed as soon as they were accepted
	Dialed   uint64           // connections that Dial has opened
	Closed   [Causes]uint64

	Turns         uint64 // of the loop
	Messages      uint64 // that Protocols have told of by Conn.Yield
	Reads, Writes uint64 // deliveries of input; calls that write
	BytesRead     uint64
	BytesWritten  uint64
	Panics        uint64 // of user code

	PacketsReceived, PacketsSent uint64 // datagrams
	PacketErrors                 uint64 // datagrams that the kernel refused
	Sessions                     int    // of datagram sockets, now
	RefusedSessions              uint64 // datagrams that were dropped because of SessionConfig.MaxSessions

	Slow    [SlowPolicies]uint64 // messages for a peer that did not keep up, by what WriteShared had to do
	Dropped uint64               // messages that SlowDropOldest took out of queues

	// Lags counts stretches of work, from one look at the kernel to the next, by how long they took: what comes meanwhile
	// has to wait for so long. Bucket i counts those below LagBound(i) and not below LagBound(i-1).
	Lags [LagBuckets]uint64
	// Worked is the sum of all these stretches: a loop's share of a processor is what it grows by in a second.
	Worked time.Duration
	// Lag is how long the request for this snapshot waited for the loop: what any event that came then had to wait.
	Lag time.Duration
}

// LagBuckets is the number of classes of LoopStats.Lags.
const LagBuckets = 21

// LagBound is the upper bound of bucket i: 1.024 us times 2 to the i-th power. The last bucket has none, and is given as the
// longest Duration.
func LagBound(i int) time.Duration {
	if i >= LagBuckets-1 {
		return math.MaxInt64
	}
	return 1024 << i
}

// Stats asks every loop. It waits for the busiest one, until ctx ends; counting itself costs a loop an addition per event
// and no lock. It may be called from any goroutine, before Run and after the end too, but not on a loop, which would wait
// for itself.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	type answer struct {
		loop  int
		stats LoopStats
	}
	answers := make(chan answer, len(e.loops)) // room for those that come when nobody waits any more
	if s, ok := e.statsBeforeRun(); ok {
		return s, nil
	}
	asked := time.Now()
	for i, l := range e.loops {
		l.do(func() { // an error says that it has ended, or is about to
			now := l.snapshot()
			now.Lag = time.Since(asked)
			answers <- answer{i, now}
		})
	}
	all := make([]LoopStats, len(e.loops))
	for range e.loops {
		select {
		case a := <-answers:
			all[a.loop] = a.stats
		case <-e.done: // whatever was not answered never will be, and nobody writes any more
			return sum(e.snapshots()), nil
		case <-ctx.Done():
			return Stats{}, context.Cause(ctx)
		}
	}
	return sum(all), nil
}

// statsBeforeRun reads the counters of an engine that does not run yet: the lock keeps Run out.
func (e *Engine) statsBeforeRun() (Stats, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.running || e.stopping {
		return Stats{}, false
	}
	return sum(e.snapshots()), true
}

func (e *Engine) snapshots() []LoopStats {
	all := make([]LoopStats, len(e.loops))
	for i, l := range e.loops {
		all[i] = l.snapshot()
	}
	return all
}

func sum(all []LoopStats) Stats {
	s := Stats{Loops: all}
	for i := range all {
		s.add(&all[i])
	}
	return s
}

func (s *LoopStats) add(o *LoopStats) {
	s.Connections += o.Connections
	s.Buffers += o.Buffers
	s.Buffered += o.Buffered
	s.Timers += o.Timers
	s.Tasks += o.Tasks
	s.Posted += o.Posted
	s.Accepted += o.Accepted
	addEach(s.Refused[:], o.Refused[:])
	s.Dialed += o.Dialed
	addEach(s.Closed[:], o.Closed[:])
	s.Turns += o.Turns
	s.Messages += o.Messages
	s.Reads += o.Reads
	s.Writes += o.Writes
	s.BytesRead += o.BytesRead
	s.BytesWritten += o.BytesWritten
	s.Panics += o.Panics
	s.PacketsReceived += o.PacketsReceived
	s.PacketsSent += o.PacketsSent
	s.PacketErrors += o.PacketErrors
	s.Sessions += o.Sessions
	s.RefusedSessions += o.RefusedSessions
	addEach(s.Slow[:], o.Slow[:])
	s.Dropped += o.Dropped
	addEach(s.Lags[:], o.Lags[:])
	s.Worked += o.Worked
	s.Lag = max(s.Lag, o.Lag)
}

func addEach(to, from []uint64) {
	for i, n := range from {
		to[i] += n
	}
}

// snapshot completes the counters by what is there now.
func (l *loop) snapshot() LoopStats {
	now := l.stats
	now.Connections, now.Timers = l.conns.Len(), l.wheel.Len()
	now.Buffers, now.Buffered = l.memory.pool.Out(), l.memory.pool.Bytes()
	now.Tasks, now.Posted = l.tasks.queue.Len(), int(l.tasks.bytes.Load())
	return now
}
