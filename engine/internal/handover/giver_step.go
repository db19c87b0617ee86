package handover

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// step does all that can be done now.
func (g *Giver) step(now time.Time) plan {
	if g.state == ended {
		return plan{over: true}
	}
	if !g.begun {
		g.begun = true
		g.stream.moved = now
		g.stream.out.push(message{head: appendHello(nil, g.config.StateVersion)})
	}
	if err := g.stream.receive(now, func(f frame) error { return g.handle(now, f) }); err != nil {
		return g.fail(err)
	}
	g.collect(now)
	if err := g.transmit(now); err != nil {
		return g.fail(err)
	}
	deadline := g.deadline(now)
	if !deadline.IsZero() && !now.Before(deadline) {
		return g.fail(ErrTimeout)
	}
	if g.state == moving && g.stream.out.empty() {
		deadline = earlier(deadline, g.sentAt.Add(g.pulse))
	}
	return g.stream.plan(now, deadline)
}

// handle does what a frame says.
func (g *Giver) handle(now time.Time, f frame) error {
	switch {
	case f.kind == hello && g.state == greeting:
		version, err := parseHello(f.payload)
		if err != nil {
			return err
		}
		g.only = version != g.config.StateVersion
		return g.list(now)
	case f.kind == ready && g.state == waiting:
		g.begin(now)
		return nil
	case f.kind == refused && (g.state == listing || g.state == waiting):
		return &RefusedError{Reason: string(f.payload)}
	case f.kind == ack && (g.state == moving || g.state == ending):
		return g.acknowledged(f.payload)
	case f.kind == bye && g.state == ending:
		g.end(nil)
		return ErrOver
	}
	closeAll(g.stream.t, f.fds)
	return malformed("a frame of kind %d from the taker, in state %d", f.kind, g.state)
}

// list queues the listeners.
func (g *Giver) list(now time.Time) error {
	g.state, g.asked = listing, now
	for _, l := range g.config.Listeners {
		if len(l.Network) > maxName || len(l.Address) > maxName || len(l.Meta) > MaxMeta || len(l.FDs) == 0 {
			return fmt.Errorf("a listener that cannot move: %s %s", l.Network, l.Address)
		}
		for fds := l.FDs; len(fds) > 0; {
			n := min(len(fds), MaxDescriptors)
			g.stream.out.push(message{head: appendListener(nil, l, n, n < len(fds)), fds: fds[:n]})
			fds = fds[n:]
		}
	}
	if len(g.config.Secrets) > MaxSecrets {
		return errors.New("the secrets are too large")
	}
	head := append(appendHeader(nil, listed, 0, len(g.config.Secrets)), g.config.Secrets...)
	g.stream.out.push(message{head: head, secret: head, sent: func() { g.state = waiting }})
	return nil
}

// begin begins to move connections: the taker accepts.
func (g *Giver) begin(now time.Time) {
	g.state, g.ready, g.sentAt = moving, true, now
	if g.failing {
		return
	}
	g.mu.Lock()
	g.open = true
	g.mu.Unlock()
	if g.config.Ready != nil {
		g.config.Ready(g.only)
	}
}

// acknowledged settles the batch that the taker has.
func (g *Giver) acknowledged(p []byte) error {
	id, taken := parseAck(p)
	i := slices.IndexFunc(g.unacked, func(b *Batch) bool { return b.id == id && b.sent })
	if i < 0 {
		return malformed("an acknowledgement of %d, which is not on its way", id)
	}
	b := g.unacked[i]
	for j := len(b.Items); j < 64*len(taken); j++ {
		if taken.Has(j) {
			return malformed("an acknowledgement of item %d of %d", j, len(b.Items))
		}
	}
	g.unacked = slices.Delete(g.unacked, i, i+1)
	b.Taken = taken
	g.settle(b)
	return nil
}

func (g *Giver) settle(b *Batch) {
	g.mu.Lock()
	g.count--
	g.mu.Unlock()
	if g.config.Settled != nil {
		g.config.Settled(b)
	}
}

// collect takes what was posted, and DONE if nothing will follow.
func (g *Giver) collect(now time.Time) {
	if g.state != moving {
		return
	}
	g.mu.Lock()
	posted, finished := g.posted, g.finished
	g.posted = nil
	g.mu.Unlock()
	for _, b := range posted {
		g.nextID++
		b.id, b.sent = g.nextID, false
		g.unacked = append(g.unacked, b)
		fds := make([]int, len(b.Items))
		for i, it := range b.Items {
			fds[i] = it.FD
		}
		g.stream.out.push(message{head: appendBatch(nil, b), fds: fds, items: b.Items, sent: func() { b.sent = true }})
	}
	switch {
	case finished && len(g.unacked) == 0:
		g.state = ending
		g.stream.out.push(message{head: appendHeader(nil, done, 0, 0)})
	case g.stream.out.empty() && !now.Before(g.sentAt.Add(g.pulse)):
		g.stream.out.push(message{head: appendHeader(nil, pulse, 0, 0)})
		g.pulsing = true
	}
}

// transmit sends, and notes when.
func (g *Giver) transmit(now time.Time) error {
	if g.stream.out.empty() {
		return nil
	}
	moved := g.stream.moved
	n, err := g.stream.send(now)
	if n > 0 {
		g.sentAt = now
	}
	if g.pulsing { // the taker has done nothing for it
		g.stream.moved = moved
	}
	g.pulsing = false
	return err
}

// deadline returns when the taker's time ends. Zero: it owes nothing.
func (g *Giver) deadline(now time.Time) time.Time {
	owed := g.state == greeting || g.state == ending || len(g.unacked) > 0 || !g.stream.out.empty()
	g.stream.owed(now, owed)
	var at time.Time
	if owed {
		at = g.stream.moved.Add(g.config.Timeout)
	}
	if g.state == listing || g.state == waiting {
		at = earlier(at, g.asked.Add(g.config.Patience))
	}
	return at
}

// fail ends the handover. What the taker has acknowledged is its own: its queue says so.
func (g *Giver) fail(err error) plan {
	if g.state == ended {
		return plan{over: true}
	}
	s := &g.stream
	g.failing = true
	s.t.Shutdown()
	for !errors.Is(err, ErrMalformed) && g.state != ended {
		if e := s.receiveOnce(s.moved, func(f frame) error { return g.handle(s.moved, f) }); e != nil {
			break
		}
	}
	if g.state != ended {
		g.end(err)
	}
	return plan{over: true}
}

// end settles what is not settled, and closes the stream.
func (g *Giver) end(err error) {
	g.state, g.err = ended, err
	if err != nil && g.ready {
		g.err = &BrokenError{Err: err}
	}
	g.mu.Lock()
	g.open = false
	rest := append(g.unacked, g.posted...)
	g.unacked, g.posted = nil, nil
	g.mu.Unlock()
	g.stream.close()
	clear(g.config.Secrets)
	for _, b := range rest {
		b.Err = err
		g.settle(b)
	}
}
