package engine

import (
	"log/slog"
	"runtime"
	"time"
)

// Config is an Engine's configuration. The zero value works: every field's zero means its default.
type Config struct {
	// Loops is the number of event loops. Default: runtime.GOMAXPROCS(0).
	Loops int
	// CPUs binds the loops to processors: loop i has a thread of its own (runtime.LockOSThread) that runs on CPUs[i] only,
	// over again if there are more loops (sched_setaffinity(2), Linux only: elsewhere New returns an error that wraps
	// errors.ErrUnsupported). Default: the schedulers decide, which was no slower wherever it was measured
	// (docs/decisions/0003-locality.md).
	CPUs []int
	// HighWater is the size of a connection's outbound queue, in bytes, above which the engine stops reading from that
	// peer; at LowWater it goes on. Defaults: 64 KiB, and a quarter of HighWater.
	HighWater, LowWater int
	// MaxOutbound is the size of the queue, in bytes, above which a further Write fails and closes the connection. A
	// single Write may be larger. Default: 16 MiB.
	MaxOutbound int
	// MaxInbound is how many bytes a Protocol may leave unconsumed; more closes the connection. Default: 2 MiB.
	MaxInbound int
	// MaxBuffered is how many bytes the buffers of all connections may take together: input that was not consumed, output
	// that was not sent (but for WriteShared's, which is shared). When they take more, the loops that hold more than an equal
	// part of it close connections with ErrBufferLimit until it is enough: first the one that has held one of the largest
	// buffers for the longest time. So those go that grow big or do not move, and small ones that come and go stay. Default:
	// 1 GiB; negative: no limit.
	MaxBuffered int
	// MaxPosted is how many bytes may wait for one loop, in bytes given to Handle.Send and PostBytes, which then return
	// ErrBusy: nothing is taken in without a bound for a loop that a handler blocks. A single one may be larger. Default: 64 MiB.
	MaxPosted int
	// TurnMessages and TurnBytes are a connection's share of a loop's turn: how many messages are delivered (see
	// Conn.Yield) and about how many bytes are read before the others are served, twice as many in the midst of something large
	// (see Conn.SetGreedy). Defaults: 1024, and 512 KiB.
	TurnMessages, TurnBytes int
	// WriteTimeout is how long a peer may take nothing of what is queued for it, as far as the kernel can tell; then the
	// connection is closed with ErrWriteStall. It may take an eighth longer. Default: 2 min; negative: no limit.
	WriteTimeout time.Duration
	// SlowGrace is how long a peer has to catch up, see SlowClose. Default: 5 s.
	SlowGrace time.Duration
	// Linger is how long a closing connection's peer may go without taking anything of what is queued, and then without
	// sending its FIN. Default: 2 s.
	Linger time.Duration
	// ShutdownTimeout is how long Run waits for connections to end when its context is cancelled. Default: 4 s.
	ShutdownTimeout time.Duration
	// BlockedAfter is how long a callback may block its loop before it is logged, with its stack; it may take an eighth
	// longer. At most one such message is logged per minute. Default: 1 s; negative: never.
	BlockedAfter time.Duration
	// MaxConnections is how many connections may be open at a time, those of Dial and Adopt included: while there are as
	// many, what a Listener accepts is closed at once. Default: no limit but the system's.
	MaxConnections int
	// Observer has functions to call as things happen. Default: none.
	Observer Observer
	// Logger gets what nobody else can be told: panics, and errors of accept. Default: slog.Default().
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.HighWater <= 0 {
		c.HighWater = 64 << 10
	}
	if c.LowWater <= 0 || c.LowWater > c.HighWater {
		c.LowWater = c.HighWater / 4
	}
	if c.MaxOutbound <= 0 {
		c.MaxOutbound = 16 << 20
	}
	if c.MaxInbound <= 0 {
		c.MaxInbound = 2 << 20
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 1 << 30
	}
	if c.MaxPosted <= 0 {
		c.MaxPosted = 64 << 20
	}
	if c.TurnMessages <= 0 {
		c.TurnMessages = 1024
	}
	if c.TurnBytes <= 0 {
		c.TurnBytes = 512 << 10
	}
	if c.WriteTimeout == 0 {
		c.WriteTimeout = 2 * time.Minute
	}
	if c.SlowGrace <= 0 {
		c.SlowGrace = 5 * time.Second
	}
	if c.Linger <= 0 {
		c.Linger = 2 * time.Second
	}
	if c.ShutdownTimeout <= 0 {
		c.ShutdownTimeout = 4 * time.Second
	}
	if c.BlockedAfter == 0 {
		c.BlockedAfter = time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}
