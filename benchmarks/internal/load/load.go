// Package load is the load generator behind the commands of this module. It drives a server over
// loopback and measures what that takes.
package load

import (
	"time"

	"github.com/myriadnet/myriad/engine"
)

// Kind is what the generator does.
type Kind string

const (
	// Echo sends messages on Conns connections: InFlight at a time on each, or Rate per second in
	// all.
	Echo Kind = "echo"
	// Broadcast sends from one connection, at the path /broadcast. All connections receive it.
	Broadcast Kind = "broadcast"
	// Idle opens connections and holds them.
	Idle Kind = "idle"
	// Storm opens connections as fast as it can and holds them. Opening is what it measures.
	Storm Kind = "storm"
	// Churn repeats, InFlight at a time: connect, send one message, close.
	Churn Kind = "churn"
)

// Config is what to measure, and how.
type Config struct {
	Kind     Kind   `json:"kind"`
	Addr     string `json:"-"`        // host:port of the server
	Protocol string `json:"protocol"` // "ws" or "tcp"

	// These are for WebSocket. Path is that of the URL, "/" by default. Compress offers
	// permessage-deflate without context takeover. Text sends text messages instead of binary ones.
	Path     string `json:"-"`
	Compress bool   `json:"compress,omitempty"`
	Text     bool   `json:"text,omitempty"`

	// Layer stands between the sockets and the protocol: TLS. nil: none. TLS says in results that
	// there is one.
	Layer engine.Layer `json:"-"`
	TLS   bool         `json:"tls,omitempty"`

	Conns    int `json:"conns"`
	Size     int `json:"size"`      // payload of a message, in bytes
	InFlight int `json:"in_flight"` // messages in flight on each connection; default: 1

	// Rate is the number of messages per second in all: an open loop. 0 is a closed loop, in which
	// each reply is answered by the next message.
	Rate float64 `json:"rate,omitempty"`

	// Connections are opened at Ramp per second, or, if that is 0, Opening at a time (default:
	// 512).
	Ramp    float64 `json:"ramp,omitempty"`
	Opening int     `json:"-"`

	Loops     int `json:"-"` // event loops of the generator; default: 1
	ServerPID int `json:"-"` // the process whose CPU time and memory are read; 0: none

	// Timeout is how long a run may make no progress before it fails. Default: 30 s.
	Timeout time.Duration `json:"-"`
	// WarmUp comes before Duration, which is measured.
	WarmUp   time.Duration `json:"-"`
	Duration time.Duration `json:"-"`

	// Messages is the least number of messages to measure in a closed loop, a broadcast or a churn.
	// Duration is extended until they have arrived. Default: 1.
	Messages uint64 `json:"-"`
	// Begin and End are called when measuring these begins and ends, while messages are in flight.
	// An error ends the run. They may be nil.
	Begin, End func() error `json:"-"`
}

// Result is what was measured. Times are in microseconds and memory is in bytes, unless they say
// otherwise.
type Result struct {
	Config
	Seconds float64 `json:"seconds"` // measured, without the warm-up

	// Opened counts the connections that were open when measuring began, or that a churn opened.
	// Failed counts those that could not be opened, or ended.
	Opened     int    `json:"opened"`
	Failed     int    `json:"failed"`
	FirstError string `json:"first_error,omitempty"`

	// Messages counts the messages that came back, or that the receivers of a broadcast got. Wrong
	// counts those that were not sent like that, or not sent at all, also during the warm-up.
	// Missed counts those of an open loop that were sent more than a millisecond late, or not at
	// all.
	Messages uint64 `json:"messages"`
	Wrong    uint64 `json:"wrong"`
	Missed   uint64 `json:"missed"`
	// PerSecond is the rate of messages, or of a storm's or churn's handshakes.
	PerSecond float64 `json:"per_second"`

	// The CPU time is per message, or per connection of a storm or churn. ServerCPU includes
	// ServerUser, the part in user mode. Busy is the number of cores in use.
	ServerCPU  float64 `json:"server_cpu_us"`
	ServerUser float64 `json:"server_user_us"`
	ServerBusy float64 `json:"server_busy"`
	LoadCPU    float64 `json:"load_cpu_us"`
	LoadBusy   float64 `json:"load_busy"`
	// Bottleneck reports whether the generator had no time left while the server had.
	Bottleneck bool `json:"load_was_bottleneck,omitempty"`

	// Latency is that of messages; of a broadcast, it ends when the last receiver has it. Handshake
	// is from connect until the WebSocket is open, and Slow counts those of more than a second.
	Latency   Latency `json:"latency"`
	Handshake Latency `json:"handshake"`
	Slow      int     `json:"slow_handshakes"`

	RSS       int64   `json:"server_rss"`        // at the end
	RSSBefore int64   `json:"server_rss_before"` // before the first connection
	PerConn   float64 `json:"server_rss_per_conn"`
}

// Latency summarizes an HdrHistogram, in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	// Hist is the whole histogram, in nanoseconds, in HdrHistogram's compressed V2 form.
	Hist string `json:"hist,omitempty"`
}
