package engine

import (
	"context"
	"math"
	"time"
)

// Stats is what an engine's loops have done so far and hold now.
type Stats struct {
	LoopStats // the sum over all loops; Lag is the longest
	Loops     []LoopStats
	Handover  HandoverStats // the progress of the last handover
}

// LoopStats is what one loop has done so far and holds now. Fields of type uint64, and Worked, only
// grow.
type LoopStats struct {
	Connections int // open, closing or being dialled
	Buffers     int // chunks of memory for input not consumed and output not sent
	Buffered    int // bytes that count for MaxBuffered: chunks, shared messages, Held, Posted
	// Held is how many bytes Protocols (Conn.AddHeld), sessions, datagram sockets and PROXY headers
	// hold.
	Held   int
	Timers int // in all, of connections and of AfterFunc
	Tasks  int // posted and not run yet; no more than 16,384 are counted
	Posted int // bytes that these tasks take

	Accepted uint64           // connections accepted or adopted, not counting Refused
	Refused  [Refusals]uint64 // connections closed as soon as they were accepted; see RefusedProxy
	Dialed   uint64           // connections opened by Dial
	Closed   [Causes]uint64

	Handshaking      int            // connections whose layer has not finished its handshake (TLS)
	Handshakes       uint64         // of layers, that have succeeded
	HandshakesFailed [Causes]uint64 // by the end of their connection

	Turns         uint64 // of the loop
	Yields        uint64 // times that it let other goroutines run: two system calls each
	Messages      uint64 // counted by Conn.Yield
	Reads, Writes uint64 // deliveries of input; system calls that write
	BytesRead     uint64
	BytesWritten  uint64
	Panics        uint64 // of user code

	PacketsReceived, PacketsSent uint64 // datagrams
	PacketErrors                 uint64 // datagrams that the kernel refused, or that were too long
	Sessions                     int    // of datagram sockets, now
	RefusedSessions              uint64 // datagrams dropped because of SessionConfig.MaxSessions

	Slow    [SlowPolicies]uint64 // messages of WriteShared above the high watermark, by policy
	Dropped uint64               // messages that SlowDropOldest removed from queues

	// Lags counts stretches of work, from one look at the kernel to the next, by length: events
	// that come meanwhile wait that long. Bucket i counts lengths from LagBound(i-1) up to
	// LagBound(i), exclusive.
	Lags [LagBuckets]uint64
	// Worked is the sum of these stretches. Its growth per second is the loop's share of a
	// processor.
	Worked time.Duration
	// Lag is how long this snapshot waited for the loop, as any event would have.
	Lag time.Duration
}

// LagBuckets is the number of buckets of LoopStats.Lags.
const LagBuckets = 21

// LagBound returns the upper bound of bucket i: 1.024 µs times 2 to the power of i. The last bucket
// has no bound; LagBound returns the longest Duration.
func LagBound(i int) time.Duration {
	if i >= LagBuckets-1 {
		return math.MaxInt64
	}
	return 1024 << i
}

// Stats returns the statistics of all loops. It waits until every loop has answered, or ctx ends;
// the error is the cause of ctx. Counting costs a loop an addition per event. Stats may be called
// from any goroutine, before Run and after the end as well. On a loop it returns ErrOnLoop.
func (e *Engine) Stats(ctx context.Context) (Stats, error) {
	if s, ok := e.statsBeforeRun(); ok {
		return s, nil
	}
	if e.OnLoop() {
		return Stats{}, ErrOnLoop
	}
	asked := time.Now()
	answers := make([]chan LoopStats, len(e.loops))
	for i, l := range e.loops {
		answers[i] = make(chan LoopStats, 1) // there is room when nobody waits any more
		// an error means that the loop has ended, or is about to
		l.do(func() {
			now := l.snapshot()
			now.Lag = time.Since(asked)
			answers[i] <- now
		})
	}
	all := make([]LoopStats, len(e.loops))
	for i, l := range e.loops {
		select {
		case all[i] = <-answers[i]:
		case <-l.over: // nothing changes the counters any more
			all[i] = l.snapshot()
		case <-ctx.Done():
			return Stats{}, context.Cause(ctx)
		}
	}
	s := sum(all)
	s.Handover = e.Handover()
	return s, nil
}

// statsBeforeRun reads the counters of an engine that was not run yet. The lock keeps Run out.
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
	s.Held += o.Held
	s.Timers += o.Timers
	s.Tasks += o.Tasks
	s.Posted += o.Posted
	s.Accepted += o.Accepted
	addEach(s.Refused[:], o.Refused[:])
	s.Dialed += o.Dialed
	addEach(s.Closed[:], o.Closed[:])
	s.Handshaking += o.Handshaking
	s.Handshakes += o.Handshakes
	addEach(s.HandshakesFailed[:], o.HandshakesFailed[:])
	s.Turns += o.Turns
	s.Yields += o.Yields
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

// maxTasks is how many tasks snapshot counts. That takes about a millisecond; a million took 160.
const maxTasks = 1 << 14

// snapshot returns the counters, and what the loop holds now.
func (l *loop) snapshot() LoopStats {
	now := l.stats
	now.Connections, now.Timers = l.conns.Len(), l.wheel.Len()
	now.Buffers, now.Buffered, now.Held = l.memory.pool.Out(), l.buffered(), l.memory.held
	now.Tasks, now.Posted = l.tasks.queue.Len(maxTasks), l.posted()
	now.Handshaking = l.layers.handshaking
	return now
}
