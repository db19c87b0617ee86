package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/metrics"
)

const (
	interval   = time.Second
	maxHistory = 300 // points that are sent to a new page
	maxBusiest = 8   // connections that a page shows
)

// event is a message to the page.
type event struct {
	Type    string    `json:"type"` // hello, then sample or trouble
	About   *about    `json:"about,omitempty"`
	History []point   `json:"history,omitempty"`
	Sample  *sample   `json:"sample,omitempty"`
	Text    string    `json:"text,omitempty"`
	Time    time.Time `json:"time"`
}

// about has what does not change.
type about struct {
	Go      string    `json:"go"`
	System  string    `json:"system"`
	Loops   int       `json:"loops"`
	Demo    int       `json:"demo"`
	Started time.Time `json:"started"`
}

// sample has what the page shows of one interval.
type sample struct {
	Point   point         `json:"point"`
	Loops   []point       `json:"loops"`
	Stats   metrics.Stats `json:"stats"`
	Busiest []busy        `json:"busiest"`
}

// busy is a connection and its loop.
type busy struct {
	metrics.ConnInspection
	Loop int `json:"loop"`
}

// point is one point of the charts: numbers of the moment, and rates per second since the point
// before.
type point struct {
	Time         int64                     `json:"time"` // Unix time in milliseconds
	Connections  int                       `json:"connections"`
	Opened       float64                   `json:"opened"`
	Closed       float64                   `json:"closed"`
	Messages     float64                   `json:"messages"`
	ReadBytes    float64                   `json:"read_bytes"`
	WrittenBytes float64                   `json:"written_bytes"`
	P50          float64                   `json:"p50_seconds"` // of the loops' stretches of work
	P99          float64                   `json:"p99_seconds"`
	Lags         [engine.LagBuckets]uint64 `json:"lags"`
}

// monitor asks the engine once a second and tells all pages. It goes on while there is no page, so
// that a new one has a history to show.
type monitor struct {
	eng      *engine.Engine
	about    about
	patience time.Duration // how long to wait for loops that do not answer

	mu       sync.Mutex // held while an event is handed to the loops: all pages see the same order
	watchers map[websocket.Handle]struct{}
	history  []point
	latest   *sample
	hello    []byte // for new pages, encoded for the first one after a sample
}

func newMonitor(eng *engine.Engine, demo int) *monitor {
	return &monitor{
		eng: eng, patience: 5 * time.Second, watchers: make(map[websocket.Handle]struct{}),
		about: about{
			Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
			Loops: eng.Loops(), Demo: demo, Started: time.Now(),
		},
	}
}

// join sends what was seen before, and lets c watch. It sends through the Handle, as broadcasts do,
// so that the history comes first.
func (m *monitor) join(c *websocket.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hello == nil { // it takes a millisecond, for which other loops wait
		hello := event{Type: "hello", About: &m.about, History: m.history, Sample: m.latest, Time: time.Now()}
		m.hello, _ = json.Marshal(hello)
	}
	if m.hello != nil {
		c.Handle().Send(websocket.Text, m.hello)
	}
	m.watchers[c.Handle()] = struct{}{}
}

func (m *monitor) leave(c *websocket.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.watchers, c.Handle())
}

// run asks and publishes until ctx or the engine ends. It is not for a loop, which would wait for
// itself.
func (m *monitor) run(ctx context.Context) {
	var last engine.Stats
	var at time.Time
	for {
		var err error
		if at.IsZero() { // the first time, or there was no answer before
			last, err = m.stats(ctx)
			at = time.Now()
		}
		var stats engine.Stats
		var busiest engine.Inspection
		if err == nil {
			stats, busiest, err = m.ask(ctx)
		}
		now := time.Now()
		switch {
		case err == nil:
			m.publish(newSample(last, stats, busiest, now.Sub(at), now))
			last, at = stats, now
		case ctx.Err() != nil || errors.Is(err, engine.ErrClosed):
			return
		default:
			at = time.Time{}
			m.tell(event{Type: "trouble", Text: "A loop has not answered for " + m.patience.String()})
		}
	}
}

// ask watches connections for an interval, and returns the stats at its end.
func (m *monitor) ask(ctx context.Context) (engine.Stats, engine.Inspection, error) {
	inspect, cancel := context.WithTimeout(ctx, interval+m.patience)
	defer cancel()
	busiest, err := m.eng.Inspect(inspect, interval, maxBusiest)
	if err != nil {
		return engine.Stats{}, busiest, err
	}
	stats, err := m.stats(ctx)
	return stats, busiest, err
}

func (m *monitor) stats(ctx context.Context) (engine.Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	return m.eng.Stats(ctx)
}

func (m *monitor) publish(s *sample) {
	m.mu.Lock()
	m.latest, m.hello = s, nil
	m.history = append(m.history, s.Point)
	if len(m.history) > maxHistory {
		m.history = slices.Clone(m.history[1:])
	}
	m.mu.Unlock()
	m.tell(event{Type: "sample", Sample: s})
}

// tell sends e to all pages. It encodes e once and posts one task per loop. For a page that does
// not keep up, old events are dropped.
func (m *monitor) tell(e event) {
	e.Time = time.Now()
	data, err := json.Marshal(e)
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	msg := websocket.Prepare(websocket.Text, data)
	websocket.Broadcast(msg, maps.Keys(m.watchers), engine.SlowDropOldest)
}

func newSample(last, now engine.Stats, seen engine.Inspection, took time.Duration, at time.Time) *sample {
	s := &sample{Point: newPoint(&last.LoopStats, &now.LoopStats, took, at), Stats: metrics.FromStats(now)}
	for i := range now.Loops {
		s.Loops = append(s.Loops, newPoint(&last.Loops[i], &now.Loops[i], took, at))
	}
	for i, l := range metrics.FromInspection(seen).Loops {
		for _, c := range l.Busiest {
			s.Busiest = append(s.Busiest, busy{c, i})
		}
	}
	slices.SortStableFunc(s.Busiest, func(a, b busy) int {
		return cmp.Compare(b.ReadBytes+b.WrittenBytes, a.ReadBytes+a.WrittenBytes)
	})
	s.Busiest = s.Busiest[:min(len(s.Busiest), maxBusiest)]
	return s
}

func newPoint(last, now *engine.LoopStats, took time.Duration, at time.Time) point {
	rate := func(last, now uint64) float64 { return math.Round(float64(now-last)/took.Seconds()*10) / 10 }
	p := point{
		Time: at.UnixMilli(), Connections: now.Connections,
		Opened:    rate(last.Accepted+last.Dialed, now.Accepted+now.Dialed),
		Messages:  rate(last.Messages, now.Messages),
		ReadBytes: rate(last.BytesRead, now.BytesRead), WrittenBytes: rate(last.BytesWritten, now.BytesWritten),
	}
	var closed, before uint64
	for i := range now.Closed {
		closed, before = closed+now.Closed[i], before+last.Closed[i]
	}
	p.Closed = rate(before, closed)
	for i := range now.Lags {
		p.Lags[i] = now.Lags[i] - last.Lags[i]
	}
	p.P50, p.P99 = metrics.LagQuantile(p.Lags, .5).Seconds(), metrics.LagQuantile(p.Lags, .99).Seconds()
	return p
}
