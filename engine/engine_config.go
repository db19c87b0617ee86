package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"time"
)

// Config is an Engine's configuration. In every field zero means the default, so the zero Config is
// ready to use.
type Config struct {
	// Loops is the number of event loops. Default: runtime.GOMAXPROCS(0).
	Loops int
	// CPUs binds the loops to processors: loop i gets a thread of its own (runtime.LockOSThread)
	// that runs only on CPUs[i], modulo the length. A process that a callback starts is bound in
	// the same way: start it on another goroutine. It uses sched_setaffinity(2), on Linux only;
	// elsewhere New returns an error that wraps errors.ErrUnsupported. Default: the schedulers
	// decide, which was no slower wherever it was measured (docs/decisions/0003-locality.md).
	CPUs []int
	// HighWater and LowWater are the watermarks of a connection's outbound queue, in bytes. While
	// the queue is above HighWater the engine does not read from that peer; at LowWater it reads
	// again and calls Drained. LowWater must not be above HighWater, nor that above MaxOutbound.
	// See also Conn.SetWatermarks. Defaults: 64 KiB, or MaxOutbound if that is less, and a quarter
	// of HighWater.
	HighWater, LowWater int
	// MaxOutbound limits a connection's outbound queue, in bytes. A Write that finds the queue
	// above it fails and closes the connection. A single Write may be larger. Default: 16 MiB.
	MaxOutbound int
	// MaxInbound limits the bytes that a Protocol leaves unconsumed. More closes the connection.
	// Default: 2 MiB.
	MaxInbound int
	// MaxBuffered is the engine's memory budget, in bytes: it limits what all peers together make
	// the engine and its Protocols hold, with what that costs besides the bytes. It covers input
	// that was not consumed, output that was not sent, messages of WriteShared (once per loop, not
	// per connection), queues and sessions of datagram sockets, what Protocols count by
	// Conn.AddHeld, and what is posted to loops. It does not cover idle connections (see
	// MaxConnections), nor what net/http holds for connections that have left their loop, such as
	// the receive buffers of HTTP/2. When the sum exceeds the budget, the loops that hold more than
	// an equal part of it close connections with ErrBufferLimit: those that hold the most for the
	// longest time without progress, and none that holds less than half the average.
	// LoopStats.Buffered tells the sum. The garbage collector needs room beside it: set GOMEMLIMIT.
	// Default: 1 GiB; negative: no limit.
	MaxBuffered int
	// MaxPosted limits what may wait for one loop, in bytes, with what each task costs besides its
	// bytes. Above it Handle.Send, PostBytes, SendTo, Each and Broadcast return ErrBusy, so a
	// blocked loop does not make memory grow. Functions of Post count as well, and are never
	// refused. A single call may exceed it. Default: 64 MiB, or if that is less, a loop's part of a
	// quarter of MaxBuffered.
	MaxPosted int
	// TurnMessages and TurnBytes are a connection's share of a loop's turn: how many messages are
	// delivered (see Conn.Yield), and about how many bytes are read, or written by its Protocol,
	// before other connections are served. SetGreedy doubles the bytes. Defaults: 1024, and 512
	// KiB.
	TurnMessages, TurnBytes int
	// WriteTimeout limits how long a peer may take nothing of what is queued for it, as far as the
	// kernel can tell. Then the connection is closed with ErrWriteStall. That may happen an eighth
	// later. Default: 2 min; negative: no limit.
	WriteTimeout time.Duration
	// SlowGrace is how long a peer has to catch up under SlowClose. Default: 5 s.
	SlowGrace time.Duration
	// Linger limits how long the peer of a closing connection may take nothing of what was written,
	// as far as the kernel can tell, and then, once it has acknowledged everything, how long it may
	// take to send its FIN. Each may come an eighth later. Default: 2 s.
	Linger time.Duration
	// MaxLinger limits the end of a connection in all, from Close or Conn.SetReplyTimeout on,
	// however steadily the peer takes what was written. Default: 5 min, or Linger if that is
	// longer.
	MaxLinger time.Duration
	// ShutdownTimeout is how long Run waits for connections to end when its context is cancelled.
	// Default: 4 s.
	ShutdownTimeout time.Duration
	// BlockedAfter is how long a callback may block its loop before that is logged, with the
	// goroutine's stack. It may be logged an eighth later. At most one message is logged per
	// minute. Default: 1 s; negative: off.
	BlockedAfter time.Duration
	// MaxConnections limits the open connections, those of Dial and Adopt included. While there are
	// that many, what a Listener accepts is closed at once. Default: no limit.
	MaxConnections int
	// Observer has functions to call as things happen. Default: none.
	Observer Observer
	// Logger gets what no caller can be told: panics, errors of accept(2), blocked loops. What
	// peers can cause is logged at a limited rate, with the number that was not. A message over
	// which its Handler panics is lost. The Handler must not call runtime.Goexit, as t.FailNow
	// does: that ends the loop. Default: slog.Default().
	Logger *slog.Logger
}

// check returns an error for limits that contradict each other. The defaults are filled in.
func (c *Config) check() error {
	for _, pair := range [...]struct {
		low, high   string
		lower, most int
	}{
		{"LowWater", "HighWater", c.LowWater, c.HighWater},
		// A peer would not be paused, but closed.
		{"HighWater", "MaxOutbound", c.HighWater, c.MaxOutbound},
	} {
		if pair.lower > pair.most {
			return fmt.Errorf("engine: Config.%s is %d, above %s, which is %d", pair.low, pair.lower, pair.high,
				pair.most)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Loops <= 0 {
		c.Loops = runtime.GOMAXPROCS(0)
	}
	if c.MaxOutbound <= 0 {
		c.MaxOutbound = 16 << 20
	}
	if c.HighWater <= 0 {
		c.HighWater = min(64<<10, c.MaxOutbound)
	}
	if c.LowWater <= 0 {
		c.LowWater = c.HighWater / 4
	}
	if c.MaxInbound <= 0 {
		c.MaxInbound = 2 << 20
	}
	if c.MaxBuffered == 0 {
		c.MaxBuffered = 1 << 30
	}
	if c.MaxPosted <= 0 {
		c.MaxPosted = 64 << 20
		if c.MaxBuffered > 0 {
			c.MaxPosted = max(min(c.MaxPosted, c.MaxBuffered/4/c.Loops), 1)
		}
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
	if c.MaxLinger <= 0 {
		c.MaxLinger = max(5*time.Minute, c.Linger)
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
