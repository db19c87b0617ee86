//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// measureCost measures what handovers cost when the connections are idle.
func measureCost(o options, out io.Writer) error {
	fmt.Fprintf(out, "%d idle connections, %d handovers, per connection\n\n", o.conns, o.handovers)
	fmt.Fprintln(out, "| connections | took | user time | of the old / new | system time | of the old / new "+
		"| memory accepted | moved | ratio | at once |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|---|---|---|---|")
	var failed error
	for _, k := range kinds {
		if o.kinds == "" || o.kinds == k.String() {
			failed = errors.Join(failed, measureKind(o, k, out))
		}
	}
	return failed
}

// cost is what a handover has cost.
type cost struct {
	took                             time.Duration
	user, userOld, system, systemOld float64 // microseconds per connection
	moved, atOnce                    float64 // bytes per connection
}

func measureKind(o options, k kind, out io.Writer) error {
	f, err := newFarm(o.serve)
	if err != nil {
		return err
	}
	defer f.remove()
	now, err := f.start()
	if err != nil {
		return err
	}
	defer func() { now.kill() }()
	if _, err := now.must(noteServing); err != nil {
		return err
	}
	empty, err := now.ask("collect")
	if err != nil {
		return err
	}
	c := &crowd{dialer: newDialer(f.config.plain, f.config.secure, o.window), kinds: []kind{k}}
	if err := c.fill(o.conns); err != nil {
		return err
	}
	if err := c.once(3); err != nil {
		return err
	}
	accepted, err := now.ask("collect")
	if err != nil {
		return err
	}
	per := func(bytes int64) float64 { return float64(bytes-empty.RSS) / float64(o.conns) }
	var all []cost
	for range o.handovers {
		old := now
		before, err := old.ask("figures")
		if err != nil {
			return err
		}
		if now, err = f.start(); err != nil {
			return err
		}
		begun, err := now.must(noteBegun)
		if err != nil {
			return err
		}
		came, gone, err := takeOver(old, now)
		if err != nil {
			return err
		}
		if gone.Went != o.conns {
			return fmt.Errorf("%v: %d of %d connections have moved", k, gone.Went, o.conns)
		}
		after, err := now.ask("collect")
		if err != nil {
			return err
		}
		us := func(d time.Duration) float64 { return float64(d) / float64(o.conns) / 1000 }
		all = append(all, cost{gone.Took,
			us(gone.User - before.User + came.User - begun.User), us(gone.User - before.User),
			us(gone.System - before.System + came.System - begun.System), us(gone.System - before.System),
			per(after.RSS), per(came.RSS)})
	}
	if err := c.once(2); err != nil {
		return err
	}
	m := medians(all)
	fmt.Fprintf(out, "| %v | %.0f ms | %.1f us | %.1f / %.1f | %.1f us | %.1f / %.1f | %.0f | %.0f | %.2f | %.0f |\n",
		k, milliseconds(m.took), m.user, m.userOld, m.user-m.userOld, m.system, m.systemOld, m.system-m.systemOld,
		per(accepted.RSS), m.moved, m.moved/per(accepted.RSS), m.atOnce)
	return c.leave()
}

// medians returns the median of each figure.
func medians(all []cost) (m cost) {
	median := func(f func(c *cost) float64) float64 {
		var values []float64
		for i := range all {
			values = append(values, f(&all[i]))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	m.took = time.Duration(median(func(c *cost) float64 { return float64(c.took) }))
	m.user = median(func(c *cost) float64 { return c.user })
	m.userOld = median(func(c *cost) float64 { return c.userOld })
	m.system = median(func(c *cost) float64 { return c.system })
	m.systemOld = median(func(c *cost) float64 { return c.systemOld })
	m.moved = median(func(c *cost) float64 { return c.moved })
	m.atOnce = median(func(c *cost) float64 { return c.atOnce })
	return m
}
