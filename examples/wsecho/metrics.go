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

// figures is what is told.
type figures struct {
	Engine enginemetrics.Stats `json:"engine"`
	Go     runtimeFigures      `json:"go"`
}

type runtimeFigures struct {
	Goroutines      uint64  `json:"goroutines"`
	HeapBytes       uint64  `json:"heap_bytes"`        // of objects, alive or not yet swept
	HeapInUseBytes  uint64  `json:"heap_in_use_bytes"` // of spans that have objects
	HeapLiveBytes   uint64  `json:"heap_live_bytes"`   // of what the latest collection has left
	StackBytes      uint64  `json:"stack_bytes"`
	TotalBytes      uint64  `json:"total_bytes"` // that Go has mapped, and not given back
	AllocatedBytes  uint64  `json:"allocated_bytes"`
	Collections     uint64  `json:"collections"`
	Pauses          uint64  `json:"pauses"`            // stops of the world, for collections or else
	MaxPauseSeconds float64 `json:"max_pause_seconds"` // not above this: the bound of the histogram's last bucket

	PauseHistogram []pauseBucket `json:"pause_histogram"` // of the pauses, the shortest first
}

// pauseBucket is a bucket of a histogram that has something in it.
type pauseBucket struct {
	AtMost float64 `json:"at_most_seconds"`
	Count  uint64  `json:"count"`
}

// serveMetrics tells the figures to whoever connects. It is no loop's business: the figures of an engine that is in trouble are wanted
// most.
func serveMetrics(eng *engine.Engine, ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // no descriptor left
			time.Sleep(10 * time.Millisecond)
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		if s, err := eng.Stats(ctx); err == nil {
			c.SetDeadline(time.Now().Add(5 * time.Second))
			json.NewEncoder(c).Encode(figures{enginemetrics.FromStats(s), readRuntime()})
		}
		cancel()
		c.Close()
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
	for i, n := range collecting.Counts { // the runtime's histograms of time have the same buckets
		if n += other.Counts[i]; n > 0 {
			f.Pauses += n
			f.MaxPauseSeconds = min(collecting.Buckets[i+1], math.MaxFloat64) // the last bucket has no bound, JSON no infinity
			f.PauseHistogram = append(f.PauseHistogram, pauseBucket{f.MaxPauseSeconds, n})
		}
	}
	return f
}
