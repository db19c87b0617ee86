package metrics

import (
	"context"
	"expvar"
	"math"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// patience is how long to wait for a busy loop. Most collectors give up after ten seconds.
const patience = 5 * time.Second

// Publish publishes e's Stats as an expvar, in the JSON form of Stats. Any goroutine may call it,
// once for each name: expvar panics if the name is taken. A published engine stays in memory as
// long as the process lives.
//
// Each read of the variable costs each loop one task and waits for the busiest loop. If a loop does
// not answer within 5 seconds, the value is {"error": "..."}. Do not read it on a loop of e: that
// loop would wait for itself until then.
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

// LagQuantile estimates the q-quantile, 0 to 1, of a histogram like engine.LoopStats.Lags. For a
// period of time, pass the difference of the histograms at its end and at its beginning. Within a
// bucket LagQuantile interpolates. The last bucket has no upper bound: LagQuantile returns its
// lower one. If the histogram is empty, it returns 0.
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
	return engine.LagBound(engine.LagBuckets - 2) // rounding lost the last one
}
