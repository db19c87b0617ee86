package metrics_test

import (
	"context"
	"encoding/json"
	"expvar"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/metrics"
)

// newEngine returns an engine with two loops. A program would call Run.
func newEngine() *engine.Engine {
	eng, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		log.Fatal(err)
	}
	return eng
}

func ExamplePublish() {
	eng := newEngine()
	eng.Close() // the last numbers stay

	metrics.Publish("example", eng)

	var stats metrics.Stats
	if err := json.Unmarshal([]byte(expvar.Get("example").String()), &stats); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(stats.Loops), "loops,", stats.Connections, "connections")
	// Output: 2 loops, 0 connections
}

func ExampleInspect() {
	eng := newEngine()
	go eng.Run(context.Background())
	defer eng.Close()

	server := httptest.NewServer(metrics.Inspect(eng))
	defer server.Close()

	resp, err := http.Get(server.URL + "?period=1ms&top=5")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	var found metrics.Inspection
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		log.Fatal(err)
	}
	for i, l := range found.Loops {
		fmt.Printf("loop %d: %d connections, busiest: %v\n", i, l.Connections, l.Busiest)
	}
	// Output:
	// loop 0: 0 connections, busiest: []
	// loop 1: 0 connections, busiest: []
}

func ExampleLagQuantile() {
	var lags [engine.LagBuckets]uint64
	lags[3] = 90 // stretches of work between 4 and 8 µs
	lags[9] = 10 // between 262 and 524 µs
	fmt.Println("median:", metrics.LagQuantile(lags, 0.5).Round(time.Microsecond))
	fmt.Println("p99:", metrics.LagQuantile(lags, 0.99).Round(time.Microsecond))
	// Output:
	// median: 6µs
	// p99: 489µs
}
