package prometheus_test

import (
	"context"
	"fmt"
	"log"

	client "github.com/prometheus/client_golang/prometheus"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/metrics/prometheus"
)

// A program would serve the registry with promhttp.HandlerFor, on a port of its own.
func Example() {
	eng, err := engine.New(engine.Config{Loops: 2})
	if err != nil {
		log.Fatal(err)
	}
	defer eng.Close()

	registry := client.NewRegistry()
	registry.MustRegister(prometheus.NewCollector(eng))

	go eng.Run(context.Background())
	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "myriad_connections" {
			continue
		}
		fmt.Println(f.GetHelp())
		for _, m := range f.Metric {
			label := m.Label[0]
			fmt.Printf("%s{%s=%q} %v\n", f.GetName(), label.GetName(), label.GetValue(), m.Gauge.GetValue())
		}
	}
	// Output:
	// Connections that are open, closing or being dialled.
	// myriad_connections{loop="0"} 0
	// myriad_connections{loop="1"} 0
}
