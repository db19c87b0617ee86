//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/myriadnet/myriad/benchmarks/internal/proc"
)

// measureFan measures all servers in turn, in each round in another order.
func measureFan(o options, out io.Writer) error {
	// In µs per delivery, by server, a value per round.
	costs, users := make(map[string][]float64), make(map[string][]float64)
	for round := range o.rounds {
		for i := range order {
			name := order[(i+round)%len(order)]
			cost, user, err := costOf(name, o)
			if err != nil {
				return err
			}
			costs[name], users[name] = append(costs[name], cost), append(users[name], user)
		}
	}
	fmt.Fprintf(out, "%d topics, %d subscribers, %d messages of %d bytes at once, %d rounds of %v\n\n",
		o.topics, o.subscribers, o.burst, o.size, o.rounds, o.period)
	fmt.Fprintln(out, "| server | µs per delivery | in user mode | ÷ broadcast | ÷ topic |")
	fmt.Fprintln(out, "|---|---:|---:|---:|---:|")
	for _, name := range order {
		fmt.Fprintf(out, "| %s | %.2f | %.2f | %s | %s |\n", name, median(costs[name]), median(users[name]),
			ratio(costs[name], costs["broadcast"]), ratio(costs[name], costs["topic"]))
	}
	return nil
}

// costOf returns the CPU time that a server takes for a delivery, in µs, and its part in user mode.
func costOf(name string, o options) (cost, user float64, err error) {
	f, err := start(serverConfig{name: name})
	if err != nil {
		return 0, 0, err
	}
	defer f.stop()
	s, err := subscribe(f, o)
	if err != nil {
		return 0, 0, err
	}
	defer s.close()
	const warmUp = 3
	for range warmUp {
		if err := s.burst(f, o); err != nil {
			return 0, 0, err
		}
	}
	total0, user0, err := used(f)
	if err != nil {
		return 0, 0, err
	}
	deliveries := 0
	for start := time.Now(); time.Since(start) < o.period; deliveries += o.subscribers * o.burst {
		if err := s.burst(f, o); err != nil {
			return 0, 0, err
		}
	}
	total1, user1, err := used(f)
	each := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 / float64(deliveries) }
	return each(total1 - total0), each(user1 - user0), err
}

// used returns the CPU time that a server has used, and its part in user mode, in steps of 10 ms.
func used(f *farm) (total, user time.Duration, err error) {
	if user, _, err = proc.Split(f.server.PID); err == nil {
		total, err = proc.CPUTime(f.server.PID)
	}
	return total, user, err
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// ratio formats the ratios of two servers in the same rounds: median, minimum and maximum.
func ratio(a, b []float64) string {
	r := make([]float64, len(a))
	for i := range a {
		r[i] = a[i] / b[i]
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", median(r), slices.Min(r), slices.Max(r))
}
