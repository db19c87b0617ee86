// Package metrics shows the Stats of an engine: as an expvar, and as a page or JSON over HTTP.
//
//	metrics.Publish("myriad", eng)                        // at /debug/vars
//	http.Handle("/debug/myriad", metrics.Inspect(eng))    // the busiest connections
//	go http.ListenAndServe("localhost:6060", nil)
//
// Serve them with net/http on a port of their own, as here: they must answer when the engine's
// loops are in trouble.
//
// Prometheus has a module of its own, engine/metrics/prometheus. Programs that do not use it do not
// get its client into their go.sum.
package metrics
