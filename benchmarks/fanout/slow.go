//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// slowShare is how many messages the slow subscriber lets pass for each that it reads.
const slowShare = 100

// slowCase is a way to serve a topic that has a subscriber which does not keep up.
type slowCase struct {
	name            string
	slow            bool // there is such a subscriber
	conflate, small bool
}

var slowCases = []slowCase{
	{name: "conflated, none slow", conflate: true, small: true},
	{name: "conflated, one slow", slow: true, conflate: true, small: true},
	{name: "conflated, one slow, default buffers", slow: true, conflate: true},
	{name: "queued, one slow", slow: true, small: true},
}

// slowResult is what one measurement gives.
type slowResult struct {
	p50, p99  float64 // delay of the others, in ms
	values    float64 // that the slow one has got
	age, aged float64 // of these, in ms: median and maximum
	held      held
}

// measureSlow measures all cases in turn.
func measureSlow(o options, out io.Writer) error {
	o.topics = 1
	results := make([][]slowResult, len(slowCases))
	for round := range o.rounds {
		for i := range slowCases {
			n := (i + round) % len(slowCases)
			r, err := slowOf(slowCases[n], o)
			if err != nil {
				return fmt.Errorf("%s: %w", slowCases[n].name, err)
			}
			results[n] = append(results[n], r)
		}
	}
	fmt.Fprintf(out, "%d subscribers, %d messages of %d bytes per second, %d rounds of %v\n\n",
		o.subscribers, o.rate, o.size, o.rounds, o.period)
	fmt.Fprintln(out, "| topic | others' p50 | others' p99 | values | their age: median | maximum "+
		"| held: process | kernel |")
	fmt.Fprintln(out, "|---|---:|---:|---:|---:|---:|---:|---:|")
	for i, c := range slowCases {
		of := func(f func(slowResult) float64) float64 {
			var v []float64
			for _, r := range results[i] {
				v = append(v, f(r))
			}
			return median(v)
		}
		fmt.Fprintf(out, "| %s | %.2f ms | %.2f ms | %.0f | %.0f ms | %.0f ms | %.1f KiB | %.1f KiB |\n", c.name,
			of(func(r slowResult) float64 { return r.p50 }), of(func(r slowResult) float64 { return r.p99 }),
			of(func(r slowResult) float64 { return r.values }),
			of(func(r slowResult) float64 { return r.age }), of(func(r slowResult) float64 { return r.aged }),
			of(func(r slowResult) float64 { return float64(r.held.Queue) / 1024 }),
			of(func(r slowResult) float64 { return float64(r.held.Kernel) / 1024 }))
	}
	return nil
}

func slowOf(c slowCase, o options) (r slowResult, err error) {
	f, err := start(serverConfig{name: "topic", conflate: c.conflate, small: c.small})
	if err != nil {
		return r, err
	}
	defer f.stop()
	s, err := subscribe(f, o)
	if err != nil {
		return r, err
	}
	defer s.close()
	if err := s.burst(f, o); err != nil { // a warm-up
		return r, err
	}
	others := hdrhistogram.New(1, int64(time.Minute/time.Microsecond), 3)
	s.eng.Post(0, func() { s.delay = func(d time.Duration) { others.RecordValue(d.Microseconds()) } })
	ages := make(chan []float64, 1)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if c.slow {
		conn, err := dialSlow(f.server.Addr, o.size)
		if err != nil {
			return r, err
		}
		defer conn.Close()
		go func() { ages <- readSlowly(ctx, conn, time.Second*slowShare/time.Duration(o.rate)) }()
	}
	a, err := f.ask(command{Rate: o.rate, Size: o.size, For: o.period})
	if err != nil {
		return r, err
	}
	stop()
	if c.slow {
		if v := <-ages; len(v) > 0 {
			r.values, r.age, r.aged = float64(len(v)), median(v), slices.Max(v)
		}
	}
	done := make(chan struct{})
	s.eng.Post(0, func() {
		r.p50, r.p99 = float64(others.ValueAtQuantile(50))/1e3, float64(others.ValueAtQuantile(99))/1e3
		s.delay = nil
		close(done)
	})
	<-done
	r.held = a.Held
	return r, nil
}
