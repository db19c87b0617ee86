package metrics

import (
	"net/netip"

	"github.com/myriadnet/myriad/engine"
)

// Stats is engine.Stats as JSON. Keys contain their unit, bytes or seconds. Every refusal, cause
// and policy has a key, also if its count is 0.
type Stats struct {
	LoopStats             // the sum; LagSeconds is the longest
	Loops     []LoopStats `json:"loops"`
	Handover  Handover    `json:"handover"`
}

// Handover is engine.HandoverStats as JSON.
type Handover struct {
	Stage       string         `json:"stage"` // none, begun, moving, done or failed
	Inherited   bool           `json:"inherited"`
	Total       int            `json:"total"`
	Moved       int            `json:"moved"`
	Stayed      map[string]int `json:"stayed"`
	TookSeconds float64        `json:"took_seconds"`
	Error       string         `json:"error"`
}

// LoopStats is engine.LoopStats as JSON.
type LoopStats struct {
	Connections   int `json:"connections"`
	Buffers       int `json:"buffers"`
	BufferedBytes int `json:"buffered_bytes"`
	HeldBytes     int `json:"held_bytes"`
	Timers        int `json:"timers"`
	Tasks         int `json:"tasks"`
	PostedBytes   int `json:"posted_bytes"`

	Accepted uint64            `json:"accepted"`
	Refused  map[string]uint64 `json:"refused"` // by engine.Refusal
	Dialed   uint64            `json:"dialed"`
	Closed   map[string]uint64 `json:"closed"` // by engine.Cause

	Handshaking      int               `json:"handshaking"`
	Handshakes       uint64            `json:"handshakes"`
	HandshakesFailed map[string]uint64 `json:"handshakes_failed"` // by engine.Cause

	Turns        uint64 `json:"turns"`
	Yields       uint64 `json:"yields"`
	Messages     uint64 `json:"messages"`
	Reads        uint64 `json:"reads"`
	Writes       uint64 `json:"writes"`
	ReadBytes    uint64 `json:"read_bytes"`
	WrittenBytes uint64 `json:"written_bytes"`
	Panics       uint64 `json:"panics"`

	PacketsReceived uint64 `json:"packets_received"`
	PacketsSent     uint64 `json:"packets_sent"`
	PacketErrors    uint64 `json:"packet_errors"`
	Sessions        int    `json:"sessions"`
	RefusedSessions uint64 `json:"refused_sessions"`

	Slow    map[string]uint64 `json:"slow"` // by engine.SlowPolicy, with underscores
	Dropped uint64            `json:"dropped"`

	Lags          []Bucket `json:"lags"`
	WorkedSeconds float64  `json:"worked_seconds"`
	LagSeconds    float64  `json:"lag_seconds"`
}

// Bucket counts the stretches of a loop's work that took less than its bound, but not less than the
// bound of the bucket before.
type Bucket struct {
	BelowSeconds float64 `json:"below_seconds,omitempty"` // 0 for the last bucket: it has no bound
	Count        uint64  `json:"count"`
}

// Inspection is engine.Inspection as JSON.
type Inspection struct {
	PeriodSeconds float64          `json:"period_seconds"`
	Loops         []LoopInspection `json:"loops"`
	Handover      Handover         `json:"handover"`
}

// LoopInspection is engine.LoopInspection as JSON.
type LoopInspection struct {
	LoopStats
	Busiest []ConnInspection `json:"busiest"` // by bytes read and written, the busiest first
}

// ConnInspection is engine.ConnInspection as JSON. The addresses of a unix socket are "".
type ConnInspection struct {
	Local         string `json:"local"`
	Remote        string `json:"remote"`
	Protocol      string `json:"protocol"`
	Layer         string `json:"layer"`
	State         string `json:"state"`
	ReadBytes     uint64 `json:"read_bytes"`    // within the period
	WrittenBytes  uint64 `json:"written_bytes"` // within the period
	InboundBytes  int    `json:"inbound_bytes"`
	OutboundBytes int    `json:"outbound_bytes"`
}

// FromStats returns the JSON form of s.
func FromStats(s engine.Stats) Stats {
	all := Stats{LoopStats: fromLoopStats(s.LoopStats), Loops: make([]LoopStats, len(s.Loops))}
	for i, l := range s.Loops {
		all.Loops[i] = fromLoopStats(l)
	}
	all.Handover = fromHandover(s.Handover)
	return all
}

func fromHandover(h engine.HandoverStats) Handover {
	j := Handover{
		Stage: h.Stage.String(), Inherited: h.Inherited, Total: h.Total, Moved: h.Moved, Stayed: h.Stayed,
		TookSeconds: h.Took.Seconds(),
	}
	if j.Stayed == nil {
		j.Stayed = map[string]int{}
	}
	if h.Err != nil {
		j.Error = h.Err.Error()
	}
	return j
}

func fromLoopStats(s engine.LoopStats) LoopStats {
	return LoopStats{
		Connections: s.Connections, Buffers: s.Buffers, BufferedBytes: s.Buffered, HeldBytes: s.Held,
		Timers: s.Timers, Tasks: s.Tasks, PostedBytes: s.Posted,
		Accepted: s.Accepted, Refused: byName[engine.Refusal](s.Refused[:]), Dialed: s.Dialed,
		Closed:      byName[engine.Cause](s.Closed[:]),
		Handshaking: s.Handshaking, Handshakes: s.Handshakes,
		HandshakesFailed: byName[engine.Cause](s.HandshakesFailed[:]),
		Turns:            s.Turns, Yields: s.Yields, Messages: s.Messages,
		Reads: s.Reads, Writes: s.Writes, ReadBytes: s.BytesRead, WrittenBytes: s.BytesWritten, Panics: s.Panics,
		PacketsReceived: s.PacketsReceived, PacketsSent: s.PacketsSent, PacketErrors: s.PacketErrors,
		Sessions: s.Sessions, RefusedSessions: s.RefusedSessions,
		Slow: byName[engine.SlowPolicy](s.Slow[:]), Dropped: s.Dropped,
		Lags: buckets(s.Lags), WorkedSeconds: s.Worked.Seconds(), LagSeconds: s.Lag.Seconds(),
	}
}

// FromInspection returns the JSON form of i.
func FromInspection(i engine.Inspection) Inspection {
	all := Inspection{PeriodSeconds: i.Period.Seconds(), Loops: make([]LoopInspection, len(i.Loops))}
	for n, l := range i.Loops {
		busiest := make([]ConnInspection, len(l.Busiest))
		for j, c := range l.Busiest {
			busiest[j] = ConnInspection{
				Local: address(c.Local), Remote: address(c.Remote), Protocol: c.Protocol,
				Layer: c.Layer, State: c.State,
				ReadBytes: c.Read, WrittenBytes: c.Written, InboundBytes: c.Inbound, OutboundBytes: c.Outbound,
			}
		}
		all.Loops[n] = LoopInspection{fromLoopStats(l.LoopStats), busiest}
	}
	all.Handover = fromHandover(i.Handover)
	return all
}

// byName returns counters that are indexed by an enumeration under the names of its values.
func byName[E interface {
	~int
	String() string
}](counts []uint64) map[string]uint64 {
	m := make(map[string]uint64, len(counts))
	for i, n := range counts {
		m[E(i).String()] = n
	}
	return m
}

func buckets(lags [engine.LagBuckets]uint64) []Bucket {
	all := make([]Bucket, len(lags))
	for i, n := range lags {
		all[i] = Bucket{engine.LagBound(i).Seconds(), n}
	}
	all[len(all)-1].BelowSeconds = 0
	return all
}

func address(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
