package main

import (
	"math"
	"sync/atomic"
	"syscall"
	"time"
)

// figures are what the panel shows. All but age belong to the room's loop; age is counted by bots,
// which may be on other loops.
type figures struct {
	latest atomic.Pointer[[]byte] // the board, as JSON

	late, work, age window

	ticks, skipped     int
	messages, received int
	bytes              int

	last counters
}

// counters are what they were at the last sample.
type counters struct {
	at                       time.Time
	cpu                      time.Duration
	messages, received, size int
}

// sample has times in milliseconds, and rates per second.
type sample struct {
	LateP50   float64 `json:"late_p50"`
	LateP99   float64 `json:"late_p99"`
	WorkP99   float64 `json:"work_p99"`
	AgeP50    float64 `json:"age_p50"`
	AgeP99    float64 `json:"age_p99"`
	Skipped   int     `json:"skipped"`
	Snapshots float64 `json:"snapshots"`
	Inputs    float64 `json:"inputs"`
	Bytes     float64 `json:"bytes"`
	CPU       float64 `json:"cpu"` // of one processor, in percent
}

func newFigures() *figures {
	f := new(figures)
	f.latest.Store(new([]byte("{}")))
	f.last.at, f.last.cpu = time.Now(), cpuTime()
	return f
}

func (f *figures) sent(size int) {
	f.messages++
	f.bytes += size
}

// ticked counts a tick: how late it was, and how long it took.
func (f *figures) ticked(late, work time.Duration, skipped int) {
	f.ticks++
	f.skipped += skipped
	f.late.add(late)
	f.work.add(work)
}

// sample returns what has happened since the last one.
func (f *figures) sample() *sample {
	now, cpu := time.Now(), cpuTime()
	per := func(n int) float64 { return math.Round(float64(n) / now.Sub(f.last.at).Seconds()) }
	s := &sample{
		LateP50: f.late.quantile(0.5), LateP99: f.late.quantile(0.99), WorkP99: f.work.quantile(0.99),
		AgeP50: f.age.quantile(0.5), AgeP99: f.age.quantile(0.99), Skipped: f.skipped,
		Snapshots: per(f.messages - f.last.messages), Inputs: per(f.received - f.last.received),
		Bytes: per(f.bytes - f.last.size),
		CPU:   math.Round(100 * (cpu - f.last.cpu).Seconds() / now.Sub(f.last.at).Seconds()),
	}
	f.last = counters{now, cpu, f.messages, f.received, f.bytes}
	for _, w := range [...]*window{&f.late, &f.work, &f.age} {
		w.turn(f.ticks)
	}
	return s
}

// cpuTime returns the processor time that the process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// window is a histogram of times, of the last 10 to 20 seconds.
type window struct{ counts [2][2000]atomic.Uint32 }

// resolution is the width of a bucket.
const resolution = 50 * time.Microsecond

func (w *window) add(d time.Duration) {
	w.counts[0][min(max(int(d/resolution), 0), len(w.counts[0])-1)].Add(1)
}

// turn begins a new half every ten seconds.
func (w *window) turn(ticks int) {
	if ticks%(10*rate) != 0 {
		return
	}
	for i := range w.counts[0] {
		w.counts[1][i].Store(w.counts[0][i].Swap(0))
	}
}

// quantile returns the upper end of the bucket, in milliseconds.
func (w *window) quantile(q float64) float64 {
	sum := uint32(0)
	for i := range w.counts[0] {
		sum += w.counts[0][i].Load() + w.counts[1][i].Load()
	}
	left := int64(math.Ceil(q * float64(sum)))
	for i := range w.counts[0] {
		if left -= int64(w.counts[0][i].Load() + w.counts[1][i].Load()); left <= 0 {
			return float64(i+1) * float64(resolution) / float64(time.Millisecond)
		}
	}
	return 0
}
