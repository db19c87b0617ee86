package sim

import (
	"math"
	"time"
)

const forever = time.Duration(math.MaxInt64)

// Now returns the virtual time since New.
func (n *Network) Now() time.Duration { return n.now }

// Advance lets d pass, as if no loop polled for that long.
func (n *Network) Advance(d time.Duration) {
	n.note("advance %v", d)
	n.advance(n.now + d)
}

// advance sets the clock and delivers what was on the wire until then.
func (n *Network) advance(to time.Duration) {
	n.now = max(n.now, to)
	live := n.links[:0]
	for _, k := range n.links {
		n.flow(&k.up)
		n.flow(&k.down)
		if !k.done() {
			live = append(live, k)
		}
	}
	clear(n.links[len(live):])
	n.links = live
}

// done reports whether nothing can happen on k any more.
func (k *link) done() bool {
	if k.server.broken {
		return true
	}
	return k.server.closed && k.client.closed && !k.up.waiting() && !k.down.waiting()
}

// nextArrival returns when the next bytes, FIN or outcome of a Connect arrives that is on the wire,
// or forever.
func (n *Network) nextArrival() time.Duration {
	at := n.nextConnect()
	for _, k := range n.links {
		for _, p := range [...]*pipe{&k.up, &k.down} {
			if p.hold > n.now && p.waiting() {
				at = min(at, p.hold)
			}
		}
	}
	return at
}

// wait lets time pass for d, which has nothing to do until d.until: to the next arrival anywhere,
// because a Peer may have to act, or to what another loop waits for, whichever is first. A loop
// that has something to do now stops the clock: no simulated thread is late because the test has
// not stepped it yet.
func (n *Network) wait(d *loopDriver) {
	at := min(d.until, n.nextArrival())
	for _, o := range n.loops {
		if o == d || o.shut || o.polls == 0 {
			continue
		}
		if o.ready() {
			return
		}
		at = min(at, o.until)
	}
	if at == forever {
		return
	}
	if n.hit(&d.place, n.cfg.Faults.Jump, &n.counts.Jump) {
		at += n.upTo(n.cfg.Faults.MaxJump, 10*time.Second)
	}
	if at > n.now {
		n.spurious = 0
	}
	n.advance(at)
}

// Idle reports whether nothing happens any more without a timer or a Peer: no poller has an event
// or a wake, and nothing is on the wire. A loop that then polls without a timeout is stuck, or
// done.
func (n *Network) Idle() bool {
	for _, d := range n.loops {
		if !d.shut && d.ready() {
			return false
		}
	}
	return n.nextArrival() == forever
}

// ready reports whether Poll has something to deliver.
func (d *loopDriver) ready() bool {
	if d.woken.Load() || d.next < len(d.batch) {
		return true
	}
	for _, s := range d.n.fds {
		if s != nil && s.loop == d && s.ready() != 0 {
			return true
		}
	}
	return false
}
