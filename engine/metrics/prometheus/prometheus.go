package prometheus

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/myriadnet/myriad/engine"
)

// patience is how long a scrape waits for a busy loop. Prometheus itself gives up after 10 seconds.
const patience = 5 * time.Second

// NewCollector returns a collector of e's Stats. Each scrape costs each loop one task and waits for
// the busiest loop. If a loop does not answer within 5 seconds, the scrape gets an invalid metric,
// which promhttp reports as an error. When the engine has ended, its last numbers stay.
//
// Do not collect on a loop of e. If a registry has the collectors of several engines, each needs
// another label: see prometheus.WrapRegistererWith.
func NewCollector(e *engine.Engine) prometheus.Collector { return &collector{e, patience} }

type collector struct {
	engine   *engine.Engine
	patience time.Duration
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, n := range numbers {
		to <- n.desc
	}
	for _, f := range families {
		to <- f.desc
	}
	to <- lags
	to <- stage
	to <- moved
	to <- stayed
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	s, err := c.engine.Stats(ctx)
	if err != nil {
		to <- prometheus.NewInvalidMetric(lags, err)
		return
	}
	for i := range s.Loops {
		collect(&s.Loops[i], strconv.Itoa(i), to)
	}
	collectHandover(&s.Handover, to)
}

// These are of the last handover between processes that the engine took part in.
var (
	stage = prometheus.NewDesc("myriad_handover_stage",
		"1 for the stage of the last handover: none, begun, moving, done or failed.", []string{"stage"}, nil)
	moved = prometheus.NewDesc("myriad_handover_connections_moved",
		"Connections that moved in the last handover.", nil, nil)
	stayed = prometheus.NewDesc("myriad_handover_connections_stayed",
		"Connections that did not move in the last handover, by cause.", []string{"cause"}, nil)
)

func collectHandover(h *engine.HandoverStats, to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(stage, 1, h.Stage.String())
	gauge(moved, float64(h.Moved))
	for cause, n := range h.Stayed {
		gauge(stayed, float64(n), cause)
	}
}

func collect(s stats, loop string, to chan<- prometheus.Metric) {
	for _, n := range numbers {
		to <- prometheus.MustNewConstMetric(n.desc, n.kind, n.value(s), loop)
	}
	for _, f := range families {
		for name, value := range f.values(s) {
			to <- prometheus.MustNewConstMetric(f.desc, prometheus.CounterValue, float64(value), loop, name)
		}
	}
	to <- histogram(s, loop)
}

type stats = *engine.LoopStats

// number is a metric with one value per loop.
type number struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(stats) float64
}

func counter(name, help string, value func(stats) uint64) number {
	return number{describe(name, help), prometheus.CounterValue, func(s stats) float64 { return float64(value(s)) }}
}

func gauge(name, help string, value func(stats) int) number {
	return number{describe(name, help), prometheus.GaugeValue, func(s stats) float64 { return float64(value(s)) }}
}

func describe(name, help string, further ...string) *prometheus.Desc {
	return prometheus.NewDesc("myriad_"+name, help, append([]string{"loop"}, further...), nil)
}

var numbers = []number{
	gauge("connections", "Connections that are open, closing or being dialled.",
		func(s stats) int { return s.Connections }),
	gauge("buffers", "Buffers with unconsumed input or unsent output.", func(s stats) int { return s.Buffers }),
	gauge("buffered_bytes", "Memory that counts for the engine's budget.",
		func(s stats) int { return s.Buffered }),
	gauge("held_bytes", "Memory that protocols, sessions and datagram sockets hold, a part of buffered_bytes.",
		func(s stats) int { return s.Held }),
	gauge("timers", "Running timers, including those of connections.", func(s stats) int { return s.Timers }),
	gauge("tasks", "Tasks that wait for the loop.", func(s stats) int { return s.Tasks }),
	gauge("posted_bytes", "Memory of the tasks that wait, a part of buffered_bytes.",
		func(s stats) int { return s.Posted }),
	counter("connections_accepted_total", "Connections accepted or adopted.",
		func(s stats) uint64 { return s.Accepted }),
	counter("connections_dialed_total", "Connections dialled and opened.", func(s stats) uint64 { return s.Dialed }),
	gauge("handshakes_in_progress", "Connections whose handshake of TLS is not done.",
		func(s stats) int { return s.Handshaking }),
	counter("handshakes_total", "Handshakes of TLS that have succeeded.",
		func(s stats) uint64 { return s.Handshakes }),
	counter("turns_total", "Turns of the loop.", func(s stats) uint64 { return s.Turns }),
	counter("yields_total", "Times that the loop let other goroutines run.",
		func(s stats) uint64 { return s.Yields }),
	counter("messages_total", "Messages delivered to protocols.", func(s stats) uint64 { return s.Messages }),
	counter("reads_total", "Deliveries of input.", func(s stats) uint64 { return s.Reads }),
	counter("writes_total", "System calls that write.", func(s stats) uint64 { return s.Writes }),
	counter("read_bytes_total", "Bytes read from connections.", func(s stats) uint64 { return s.BytesRead }),
	counter("written_bytes_total", "Bytes written to connections.", func(s stats) uint64 { return s.BytesWritten }),
	counter("panics_total", "Panics of user code.", func(s stats) uint64 { return s.Panics }),
	counter("datagrams_received_total", "Datagrams received.", func(s stats) uint64 { return s.PacketsReceived }),
	counter("datagrams_sent_total", "Datagrams sent.", func(s stats) uint64 { return s.PacketsSent }),
	counter("datagrams_failed_total", "Datagrams that the kernel refused, or that were too long.",
		func(s stats) uint64 { return s.PacketErrors }),
	gauge("datagram_sessions", "Sessions of datagram sockets.", func(s stats) int { return s.Sessions }),
	counter("datagram_sessions_refused_total", "Datagrams dropped because there were too many sessions.",
		func(s stats) uint64 { return s.RefusedSessions }),
	counter("slow_messages_dropped_total", "Queued messages dropped to make room for newer ones.",
		func(s stats) uint64 { return s.Dropped }),
	{describe("loop_response_seconds", "How long this scrape waited for the loop, as any event did."),
		prometheus.GaugeValue, func(s stats) float64 { return s.Lag.Seconds() }},
}

// family is a counter with a value per loop and cause.
type family struct {
	desc   *prometheus.Desc
	values func(stats) map[string]uint64
}

var families = []family{
	{describe("connections_refused_total", "Connections closed right after they were accepted, by cause.", "cause"),
		func(s stats) map[string]uint64 { return byName[engine.Refusal](s.Refused[:]) }},
	{describe("connections_closed_total", "Connections that ended, by cause.", "cause"),
		func(s stats) map[string]uint64 { return byName[engine.Cause](s.Closed[:]) }},
	{describe("handshakes_failed_total", "Connections that ended before their handshake of TLS was done, by cause.",
		"cause"),
		func(s stats) map[string]uint64 { return byName[engine.Cause](s.HandshakesFailed[:]) }},
	{describe("slow_messages_total", "Broadcast messages for a peer that did not keep up, by policy.", "policy"),
		func(s stats) map[string]uint64 { return byName[engine.SlowPolicy](s.Slow[:]) }},
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

var lags = describe("loop_work_seconds",
	"Stretches of a loop's work, during which events wait. The rate of the sum is the loop's share of a processor.")

// histogram returns s.Lags and s.Worked as a metric.
func histogram(s stats, loop string) prometheus.Metric {
	const last = engine.LagBuckets - 1
	buckets := make(map[float64]uint64, last)
	count := uint64(0)
	for i, n := range s.Lags[:last] {
		bound := engine.LagBound(i).Seconds()
		count += n
		buckets[bound] = count
	}
	count += s.Lags[last]
	return prometheus.MustNewConstHistogram(lags, count, s.Worked.Seconds(), buckets, loop)
}
