//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// handOver lets processes hand over to one another while clients talk.
func handOver(o options, out io.Writer) (err error) {
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
	c := &crowd{dialer: newDialer(f.config.plain, f.config.secure, o.window), every: o.every, kinds: kinds}
	if err := c.fill(o.conns); err != nil {
		return err
	}
	c.talk()
	p := f.probe(5 * time.Millisecond)
	fmt.Fprintf(out, "%d connections: %d with TLS, %d compressed (windows of %d bytes); a message every %v\n\n",
		o.conns, o.conns/2, o.conns/2, 1<<o.window, o.every)
	fmt.Fprintln(out, "| handover | took | moved | left | frozen, p50 / p99 / max | waited, p50 / p99 / max |")
	fmt.Fprintln(out, "|---|---|---|---|---|---|")
	waits, err := c.lap(c.mark())
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "| none | - | - | - | - | %s |\n", quantiles(waits))
	for i := range o.handovers {
		marks := c.mark()
		next, err := f.start()
		if err != nil {
			return err
		}
		old := now
		now = next
		came, gone, err := takeOver(old, next)
		if err != nil {
			return err
		}
		if gone.Went != o.conns || came.Came != o.conns {
			return fmt.Errorf("handover %d: of %d connections %d have gone (%s left), and %d have come", i+1, o.conns,
				gone.Went, causes(gone.Stayed), came.Came)
		}
		waits, err := c.lap(marks)
		if err != nil {
			return err
		}
		slices.Sort(came.Frozen)
		fmt.Fprintf(out, "| %d | %.0f ms | %d | %s | %s | %s |\n", i+1, milliseconds(gone.Took), gone.Went,
			causes(gone.Stayed), quantiles(came.Frozen), quantiles(waits))
	}
	rounds := int64(0)
	for _, k := range c.clients {
		rounds += k.rounds.Load()
	}
	if ended := c.rest(); len(ended) > 0 {
		return fmt.Errorf("%d connections have ended: %w", len(ended), ended[0].err)
	}
	refusals := p.end()
	if err := c.leave(); err != nil {
		return fmt.Errorf("the end: %w", err)
	}
	fmt.Fprintf(out, "\nNo connection was closed, and no byte was lost, doubled or changed in %d rounds of messages. "+
		"%d of %d further connections were refused; the longest wait for one was %.1f ms.\n", rounds, refusals, p.dials,
		milliseconds(p.longest))
	if refusals > 0 {
		return fmt.Errorf("%d connections were refused", refusals)
	}
	return nil
}

// takeOver waits until next has taken over from old.
func takeOver(old, next *process) (came, gone note, err error) {
	if came, err = next.must(noteServing); err != nil {
		return came, gone, err
	}
	if gone, err = old.must(noteEnd); err != nil {
		return came, gone, err
	}
	old.gone()
	if !came.Found || came.Error != "" || gone.Error != "" {
		err = fmt.Errorf("the handover has failed: the new process: %q, the old one: %q", came.Error, gone.Error)
	}
	return came, gone, err
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// causes tells why connections have not moved.
func causes(stayed map[string]int) (text string) {
	for _, cause := range slices.Sorted(maps.Keys(stayed)) {
		if n := stayed[cause]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, cause)
		}
	}
	if text == "" {
		return "0"
	}
	return text[2:]
}
