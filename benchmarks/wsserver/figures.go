package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net"
	"runtime/metrics"
	"time"

	"github.com/myriadnet/myriad/engine"
	enginemetrics "github.com/myriadnet/myriad/engine/metrics"
)

// figures is what serveFigures sends.
type figures struct {
	Engine enginemetrics.Stats `json:"engine"`
	Go     runtimeFigures      `json:"go"`
}

type runtimeFigures struct {
	Goroutines     uint64 `json:"goroutines"`
	HeapBytes      uint64 `json:"heap_bytes"`        // objects that are live or not yet swept
	HeapInUseBytes uint64 `json:"heap_in_use_bytes"` // spans that contain objects
	HeapLiveBytes  uint64 `json:"heap_live_bytes"`   // what the latest collection left
	StackBytes     uint64 `json:"stack_bytes"`
	TotalBytes     uint64 `json:"total_bytes"` // what Go has mapped and not returned
	AllocatedBytes uint64 `json:"allocated_bytes"`
	Collections    uint64 `json:"collections"`

	// Pauses are stops of the world, for collections or other reasons. MaxPauseSeconds is the upper
	// bound of the histogram's last bucket. The histogram begins with the shortest pauses.
	Pauses          uint64        `json:"pauses"`
	MaxPauseSeconds float64       `json:"max_pause_seconds"`
	PauseHistogram  []pauseBucket `json:"pause_histogram"`
}

// pauseBucket is a bucket of a histogram that is not empty.
type pauseBucket struct {
	AtMost float64 `json:"at_most_seconds"`
	Count  uint64  `json:"count"`
}

// serveFigures sends the figures to whoever connects to ln. It does not run on a loop, because the
// figures of an engine in trouble are the most interesting ones.
func serveFigures(eng *engine.Engine, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no free descriptor
			time.Sleep(10 * time.Millisecond)
			continue
		}
		sendFigures(eng, c)
	}
}

// sendFigures closes c, in any case after 10 seconds.
func sendFigures(eng *engine.Engine, c net.Conn) {
	defer c.Close()
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if s, err := eng.Stats(ctx); err == nil {
		c.SetDeadline(time.Now().Add(patience))
		json.NewEncoder(c).Encode(figures{enginemetrics.FromStats(s), readRuntime()})
	}
}

func readRuntime() runtimeFigures {
	var f runtimeFigures
	var unused, released uint64
	fields := []struct {
		name string
		to   *uint64
	}{
		{"/sched/goroutines:goroutines", &f.Goroutines},
		{"/memory/classes/heap/objects:bytes", &f.HeapBytes},
		{"/memory/classes/heap/unused:bytes", &unused},
		{"/gc/heap/live:bytes", &f.HeapLiveBytes},
		{"/memory/classes/heap/stacks:bytes", &f.StackBytes},
		{"/memory/classes/total:bytes", &f.TotalBytes},
		{"/memory/classes/heap/released:bytes", &released},
		{"/gc/heap/allocs:bytes", &f.AllocatedBytes},
		{"/gc/cycles/total:gc-cycles", &f.Collections},
	}
	samples := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}, {Name: "/sched/pauses/total/other:seconds"}}
	for _, field := range fields {
		samples = append(samples, metrics.Sample{Name: field.name})
	}
	metrics.Read(samples)
	for i, field := range fields {
		*field.to = samples[i+2].Value.Uint64()
	}
	f.HeapInUseBytes = f.HeapBytes + unused
	f.TotalBytes -= released

	collecting, other := samples[0].Value.Float64Histogram(), samples[1].Value.Float64Histogram()
	for i := range collecting.Counts { // the runtime's histograms of time have the same buckets
		n := collecting.Counts[i] + other.Counts[i]
		if n == 0 {
			continue
		}
		f.Pauses += n
		// The last bucket has no upper bound, and JSON has no infinity.
		f.MaxPauseSeconds = min(collecting.Buckets[i+1], math.MaxFloat64)
		f.PauseHistogram = append(f.PauseHistogram, pauseBucket{f.MaxPauseSeconds, n})
	}
	return f
}
