// Package metrics shows what an engine does to those who run it: by expvar, and as a page or JSON over HTTP. Prometheus has
// a module of its own, engine/metrics/prometheus, so that its client reaches nobody's go.sum unasked.
//
//	metrics.Publish("myriad", eng)                        // at /debug/vars
//	http.Handle("/debug/myriad", metrics.Inspect(eng))    // the busiest connections, for people and for curl
//	go http.ListenAndServe("localhost:6060", nil)
//
// Serve them on a port of their own, as here: an engine whose loops are in trouble is then still asked and heard.
package metrics

import (
	"context"
	"expvar"
	"math"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// patience is how long a busy loop is waited for. It is below the ten seconds after which most collectors give up.
const patience = 5 * time.Second

// Publish makes e's Stats an expvar of the given name, in the JSON form of Stats. It may be called from any goroutine, once
// for each name: expvar panics if the name is taken, and a published engine stays reachable for as long as the process lives.
//
// The value is made when it is asked for, which costs each loop one task and waits for the busiest of them. If one has not
// answered within 5 seconds, the value is {"error": "..."}. It must not be asked for on a loop, which would wait for itself
// for so long.
func Publish(name string, e *engine.Engine) {
	expvar.Publish(name, expvar.Func(func() any { return value(e, patience) }))
}

func value(e *engine.Engine, patience time.Duration) any {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := e.Stats(ctx)
	if err != nil {
		return struct {
			Error string `json:"error"`
		}{err.Error()}
	}
	return FromStats(s)
}

// LagQuantile estimates the q-quantile, 0 to 1, of a histogram of the form of engine.LoopStats.Lags; of the difference of
// two, for what came between them. Within a bucket, whose bounds differ by a factor of two, it interpolates. For stretches of
// the last bucket, which has no upper bound, it gives the lower one; for no stretches at all, 0.
func LagQuantile(lags [engine.LagBuckets]uint64, q float64) time.Duration {
	all := uint64(0)
	for _, n := range lags {
		all += n
	}
	if all == 0 {
		return 0
	}
	rank := min(max(q, 0), 1) * float64(all)
	for i, n := range lags {
		if n == 0 || float64(n) < rank {
			rank -= float64(n)
			continue
		}
		if i == 0 {
			return time.Duration(rank / float64(n) * float64(engine.LagBound(0)))
		}
		below := engine.LagBound(i - 1)
		if i == engine.LagBuckets-1 {
			return below
		}
		return time.Duration(float64(below) * math.Exp2(rank/float64(n)))
	}
	return engine.LagBound(engine.LagBuckets - 2) // rounding has lost the last one
}
