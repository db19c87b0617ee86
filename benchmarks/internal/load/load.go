// Package load drives a server over loopback and says what it took: the generator behind the commands of this module.
package load

import "time"

// Kind is what the generator does.
type Kind string

const (
	Echo      Kind = "echo"      // Conns connections, each with InFlight messages under way, or Rate messages a second in all
	Broadcast Kind = "broadcast" // one connection sends, at Path "/broadcast"; all get it
	Idle      Kind = "idle"      // opens connections and holds them
	Storm     Kind = "storm"     // opens connections as fast as it can and holds them
	Churn     Kind = "churn"     // InFlight at a time: connect, one message, closing handshake; again and again
)

// Config says what to do to a server.
type Config struct {
	Kind      Kind          `json:"kind"`
	Addr      string        `json:"-"`                  // host:port of the server
	Protocol  string        `json:"protocol"`           // "ws" or "tcp"
	Path      string        `json:"-"`                  // of the WebSocket's URL; "/" when empty
	Compress  bool          `json:"compress,omitempty"` // offer permessage-deflate, without context takeover
	Text      bool          `json:"text,omitempty"`     // text messages instead of binary ones
	Conns     int           `json:"conns"`
	Size      int           `json:"size"`           // bytes of payload
	InFlight  int           `json:"in_flight"`      // messages under way per connection; 1 when 0
	Rate      float64       `json:"rate,omitempty"` // messages a second in all, open loop; 0: closed loop
	Ramp      float64       `json:"ramp,omitempty"` // connections opened a second; 0: as fast as it goes
	Opening   int           `json:"-"`              // connections being opened at a time, without Ramp; 512 when 0
	Loops     int           `json:"-"`              // event loops of the generator; 1 when 0
	Timeout   time.Duration `json:"-"`              // how long nothing may happen before that is an error; 30 s when 0
	WarmUp    time.Duration `json:"-"`
	Duration  time.Duration `json:"-"`
	ServerPID int           `json:"-"` // whose CPU time and memory are read; 0: nobody's

	// Messages is how many messages must come while a closed loop, a broadcast or a churn is measured; 1 when 0. Duration is
	// prolonged until they have come.
	Messages uint64 `json:"-"`
	// Begin and End are called when this measuring begins and ends, while messages are under way. They may be nil.
	Begin, End func() error `json:"-"`
}

// Result is what came of it. Times are microseconds, memory is bytes.
type Result struct {
	Config
	Seconds    float64 `json:"seconds"` // that were measured, the warm-up not among them
	Opened     int     `json:"opened"`  // connections that were open when measuring began, or that a churn opened
	Failed     int     `json:"failed"`  // connections that could not be opened, or ended
	FirstError string  `json:"first_error,omitempty"`
	Messages   uint64  `json:"messages"`   // that came back, or that receivers of a broadcast got
	Wrong      uint64  `json:"wrong"`      // with another payload than was sent, or never sent; the warm-up's too
	Missed     uint64  `json:"missed"`     // of an open loop, that could not be sent within a millisecond of their time, or at all
	PerSecond  float64 `json:"per_second"` // messages; handshakes of a storm or churn

	ServerCPU  float64 `json:"server_cpu_us"`  // per message, or per connection of a storm or churn; user and system
	ServerUser float64 `json:"server_user_us"` // the user's part
	ServerBusy float64 `json:"server_busy"`    // cores: 1 is one whole core
	LoadCPU    float64 `json:"load_cpu_us"`
	LoadBusy   float64 `json:"load_busy"`
	Bottleneck bool    `json:"load_was_bottleneck,omitempty"` // the generator had no time left, the server had

	Latency   Latency `json:"latency"`           // of messages; of a broadcast, until the last receiver had it
	Handshake Latency `json:"handshake"`         // from connect to the WebSocket being open
	Slow      int     `json:"slow_handshakes"`   // over a second
	RSS       int64   `json:"server_rss"`        // at the end
	RSSBefore int64   `json:"server_rss_before"` // before the first connection
	PerConn   float64 `json:"server_rss_per_conn"`
}

// Latency sums up an HdrHistogram, in microseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	P999  float64 `json:"p999"`
	Max   float64 `json:"max"`
	Hist  string  `json:"hist,omitempty"` // whole, in HdrHistogram's compressed V2 form, nanoseconds
}
