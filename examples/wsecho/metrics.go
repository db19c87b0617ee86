package main

import (
	"encoding/json"
	"math"
	"net/http"
	"runtime/metrics"

	"github.com/myriadnet/myriad/engine"
	enginemetrics "github.com/myriadnet/myriad/engine/metrics"
)

// figures is what /metrics says.
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
	Pauses          uint64  `json:"pauses"`            // of the whole world, for collections
	MaxPauseSeconds float64 `json:"max_pause_seconds"` // not above this: the bound of a histogram's bucket
}

func metricsHandler(eng *engine.Engine) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		s, err := eng.Stats(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(figures{enginemetrics.FromStats(s), readRuntime()})
	})
	return mux
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
	samples := []metrics.Sample{{Name: "/sched/pauses/total/gc:seconds"}}
	for _, field := range fields {
		samples = append(samples, metrics.Sample{Name: field.name})
	}
	metrics.Read(samples)
	for i, field := range fields {
		*field.to = samples[i+1].Value.Uint64()
	}
	f.HeapInUseBytes = f.HeapBytes + unused
	f.TotalBytes -= released

	pauses := samples[0].Value.Float64Histogram()
	for i, n := range pauses.Counts {
		if f.Pauses += n; n > 0 {
			f.MaxPauseSeconds = min(pauses.Buckets[i+1], math.MaxFloat64) // the last bucket has no bound, JSON no infinity
		}
	}
	return f
}
