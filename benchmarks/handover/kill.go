//go:build linux

package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/myriadnet/myriad/engine"
)

// killing is the state of killAtRandom.
type killing struct {
	o     options
	farm  *farm
	crowd *crowd
	now   *process

	olds, news, early, complete, wentOn, ended, dials int
}

// killAtRandom kills the old or the new process of a handover again and again. Who dies when:
//
//   - at a random moment from the start of the new process on, or from when it has the listeners
//   - the old one, when it has frozen a random number of connections
//   - the new one, when it has loaded a random number of them
func killAtRandom(o options, out io.Writer) error {
	f, err := newFarm(o.serve)
	if err != nil {
		return err
	}
	defer f.remove()
	k := &killing{o: o, farm: f}
	d := newDialer(f.config.plain, f.config.secure, o.window)
	k.crowd = &crowd{dialer: d, every: 60 * time.Millisecond, kinds: kinds}
	defer func() {
		if k.now != nil {
			k.now.kill()
		}
	}()
	for i := range o.kills {
		if k.now == nil {
			if err := k.begin(); err != nil {
				return err
			}
		}
		if err := k.round(i); err != nil {
			return fmt.Errorf("kill %d: %w", i, err)
		}
		if (i+1)%100 == 0 || i+1 == o.kills {
			k.report(i+1, out)
		}
	}
	return nil
}

func (k *killing) report(kills int, out io.Writer) {
	fmt.Fprintf(out, "%d kills: %d of the old process, %d of the new one; %d before the new one had the listeners, "+
		"%d when the handover was complete. %d connections went on, %d ended with their process, each as the "+
		"survivor had counted. %d further connections were tried, and none refused while a process had the "+
		"listeners.\n", kills, k.olds, k.news, k.early, k.complete, k.wentOn, k.ended, k.dials)
}

// begin starts a process that takes over from nobody.
func (k *killing) begin() (err error) {
	k.crowd.clients = nil
	if k.now, err = k.farm.start(); err != nil {
		return err
	}
	_, err = k.now.must(noteServing)
	return err
}

// round is one kill.
func (k *killing) round(i int) error {
	c := k.crowd
	if err := c.fill(k.o.conns); err != nil {
		return err
	}
	c.talk()
	p := k.farm.probe(3 * time.Millisecond)
	old := k.now
	victimIsOld := i%2 == 0
	suicide := i / 2 % 3
	if suicide == 1 && victimIsOld {
		fmt.Fprintln(old.in, "save", rand.IntN(k.o.conns))
	}
	next, err := k.farm.start()
	if err != nil {
		return err
	}
	if suicide == 1 && !victimIsOld {
		fmt.Fprintln(next.in, "load", rand.IntN(k.o.conns))
	}
	inherited := false
	if suicide > 0 {
		_, inherited, err = next.await(noteInherited)
		if err != nil {
			return err
		}
	}
	victim, survivor := next, old
	if victimIsOld {
		victim, survivor = old, next
	}
	switch suicide {
	case 1: // if it does not come to that, it is killed after all
		select {
		case <-victim.exited:
		case <-time.After(500 * time.Millisecond):
		}
	case 2:
		time.Sleep(time.Duration(rand.IntN(30_000)) * time.Microsecond)
	default:
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
	}
	victim.kill()
	if victimIsOld {
		k.olds++
	} else {
		k.news++
	}
	return k.settle(victim, survivor, p, inherited)
}

// settle looks where the connections are when one of the processes is dead.
func (k *killing) settle(victim, survivor *process, p *prober, inherited bool) error {
	isNew := victim == k.now
	inherited = inherited || survivor.has(noteInherited) && isNew
	serves, moved, err := k.fate(survivor, isNew)
	if err != nil {
		return err
	}
	c, want := k.crowd, k.o.conns
	switch {
	case !serves && isNew && inherited:
		return fmt.Errorf("the new process has ended, which had the listeners%s", &survivor.said)
	case !serves && isNew:
		k.early++
	case !serves:
		k.complete++
	case isNew && !inherited:
		k.early++
	}
	switch {
	case !serves:
		want = 0
	case isNew:
		want = moved
	default:
		want -= moved
	}
	if err := c.survive(want); err != nil {
		return fmt.Errorf("%d connections should go on: %w%s", want, err, &survivor.said)
	}
	ended := c.rest()
	if err := faults(ended); err != nil {
		return err
	}
	refused := p.end()
	k.dials += p.dials
	if refused > 0 && serves && (!isNew || inherited) {
		return fmt.Errorf("%d of %d connections were refused: %w%s", refused, p.dials, p.refusal,
			&survivor.said)
	}
	k.wentOn += len(c.clients)
	k.ended += len(ended)
	if len(c.clients) != want {
		return fmt.Errorf("%d connections have gone on, %d should", len(c.clients), want)
	}
	k.now = nil
	if !serves {
		survivor.gone()
		return nil
	}
	k.now = survivor
	return survivor.hasOnly(want)
}

// fate waits until it is clear whether the survivor serves, and how many WebSockets have moved to
// the new process, as far as the survivor knows.
func (k *killing) fate(survivor *process, isNew bool) (serves bool, moved int, err error) {
	if isNew {
		n, ok, err := survivor.await(noteServing)
		return ok, n.Came, err
	}
	for ; ; time.Sleep(2 * time.Millisecond) {
		fmt.Fprintln(survivor.in, "figures")
		n, ok, err := survivor.await(noteFigures)
		switch {
		case err != nil || !ok:
			return false, 0, err
		case n.Inherited || n.Stage == engine.HandoverNone.String(): // nobody has come to take over
			return true, 0, nil
		case n.Stage == engine.HandoverFailed.String():
			return true, n.Went, nil
		}
	}
}

// survive waits until so many clients have gone on, and all others have ended.
func (c *crowd) survive(n int) error {
	rounds := c.progress()
	for late := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		ended, first := c.failures()
		on := 0
		for i, k := range c.clients {
			if k.rounds.Load() >= rounds[i]+2 {
				on++
			}
		}
		switch {
		case ended == len(c.clients)-n && on >= n:
			return nil
		case ended > len(c.clients)-n:
			return fmt.Errorf("%d of %d have ended: %w", ended, len(c.clients), first)
		case time.Now().After(late):
			return fmt.Errorf("%d of %d go on, %d have ended", on, len(c.clients), ended)
		}
	}
}

// hasOnly waits until a server has no more and no fewer connections than n.
func (p *process) hasOnly(n int) error {
	for late := time.Now().Add(patience); ; time.Sleep(2 * time.Millisecond) {
		f, err := p.ask("figures")
		if err != nil || f.Connections == n {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("the server has %d connections, not %d", f.Connections, n)
		}
	}
}
