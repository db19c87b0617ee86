// Package prometheus exposes the Stats of an engine to Prometheus.
//
//	registry.MustRegister(prometheus.NewCollector(eng))
//
// Every series has the label loop, the number of the event loop, so that an uneven load shows. To
// add them up, write sum without (loop) (...).
//
// The package is a module of its own. Programs that do not use it do not get Prometheus' client
// into their go.sum.
package prometheus
