package engine

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// This file has the new process's part of a handover that happens on a loop.

// arrivalsTurn is how many connections a loop takes over in a turn.
const arrivalsTurn = 128

// arrivals are connections of another process that came together, and that this one owns now.
type arrivals struct {
	all  []arrival
	next int // all[:next] have a Conn
	from *Handover
	over func() // is called once, on any goroutine, when all have a Conn or are closed
}

// arrival is a connection of another process.
type arrival struct {
	fd       int
	state    []byte    // valid until arrivals.over, which wipes it
	listener *Listener // that counts it; nil: none
	out      []byte    // a copy of what the state has to send, if that is large
}

// largeOut is how much a connection has to send that is copied before the loop gets it: 15 MiB took
// the loop 25 ms.
const largeOut = 256 << 10

// copyOut makes that copy, on any goroutine.
func (a *arrival) copyOut() {
	if len(a.state) < largeOut {
		return
	}
	if m, err := readMoved(a.state); err == nil && len(m.out) >= largeOut {
		a.out = bytes.Clone(m.out)
	}
}

// receive gives the loop connections that another process has given up, and that its load counts
// already. If the loop has ended, they are closed.
func (l *loop) receive(a *arrivals) {
	err := l.do(func() { l.arrivals = append(l.arrivals, a) })
	if err != nil {
		l.load.Add(-int32(len(a.all)))
		for i := range a.all {
			l.engine.backend.CloseFd(a.all[i].fd)
		}
		a.over()
	}
}

// continueArrival takes over connections that have arrived. Each is off the list before user code
// is called for it: see loop.
func (l *loop) continueArrival() {
	begun := l.poller.Now() - l.yielding.away
	least := l.handoverTime(begun)
	for n := 0; n < arrivalsTurn && len(l.arrivals) > 0; {
		a := l.arrivals[0]
		if a.next == len(a.all) {
			l.arrivals = slices.Delete(l.arrivals, 0, 1)
			a.over()
			continue
		}
		n++
		a.next++
		l.arrive(&a.all[a.next-1], a.from)
		l.spend(4 * eventWork)
		if l.tookLong(begun, least) {
			return
		}
	}
}

// arrive makes a connection of what another process has given up.
func (l *loop) arrive(a *arrival, from *Handover) {
	l.stats.Accepted++
	c := &Conn{loop: l, fd: int32(a.fd), times: times{active: l.tick}}
	c.slot, c.gen = l.conns.Insert(c)
	m, err := readMoved(a.state)
	if err == nil {
		m.owned = a.out
		err = l.restore(c, &m, from)
	}
	if a.listener != nil {
		l.claimFor(c, a.listener)
	}
	if e := l.poller.Register(a.fd, c.token(), interest(c.wanted())); e != nil && err == nil {
		err = resetError(e)
	}
	c.flags |= c.wanted()
	if l.stopping {
		l.untold = append(l.untold, c)
	}
	c.flags |= unannounced
	if err != nil {
		l.logUnloaded(err)
		c.end(refusedError{err})
	} else {
		l.loadProtocol(c, &m, from.Load)
	}
	l.settleInBudget(c)
}

// claimFor counts c for ln and its client, as if ln had accepted it. It is not refused, whatever
// the limits are.
func (l *loop) claimFor(c *Conn, ln *Listener) {
	if ln.counts() {
		l.remember(c, ln, ln.quota.AcquireAnyway(c.RemotePrefix()))
	}
}

// restore makes c what it was, but for its Protocol.
func (l *loop) restore(c *Conn, m *moved, from *Handover) error {
	if m.flags&proxied != 0 {
		l.setProxied(c, m.header)
	}
	c.flags |= m.flags & (paused | throttled | writeClosed | finSent)
	if m.flags&ownWater != 0 {
		c.SetWatermarks(m.water.high, m.water.low)
	}
	if len(m.in) > 0 {
		c.in = l.memory.pool.Get(len(m.in))
		c.in.Append(m.in)
	}
	if len(m.out) > 0 {
		if m.owned != nil {
			c.out.Own(&l.memory.pool, m.owned)
		} else {
			c.out.Append(&l.memory.pool, m.out, parkedChunk)
		}
		if m.flags&blocked != 0 {
			c.block(true)
		}
		c.touch()
	}
	if m.flags&layered != 0 {
		if err := l.restoreLayer(c, m, from); err != nil {
			return err
		}
	}
	c.times.idle, c.times.active = m.idle, l.tick-m.silent
	if m.deadline != 0 {
		c.times.deadline = max(l.tick+m.deadline, 1)
	}
	c.arm()
	return nil
}

// restoreLayer puts the layer of c in place.
func (l *loop) restoreLayer(c *Conn, m *moved, from *Handover) error {
	loader, ok := from.Layer.(layer.Loader)
	if !ok {
		return errors.New("engine: a connection with a layer has arrived, and Handover.Layer cannot load it")
	}
	stream, err := loader.Load(m.layer, &l.layers.shared)
	if err != nil {
		return err
	}
	l.setLayer(c, stream)
	y := l.layers.all.At(c.slot)
	y.plain, y.sealed = m.plain, m.sealed
	l.openEnd(c, y)
	return nil
}

// loadProtocol asks user code for the Protocol of c, as attach does.
func (l *loop) loadProtocol(c *Conn, m *moved, load Loader) {
	l.enter(c)
	before := c.state
	p, err := load(c, m.proto)
	if p != nil && err == nil {
		isGreedy := c.flags&greedy | m.flags&greedy
		c.SetProtocol(p)
		c.flags = c.flags&^swapped | isGreedy
	}
	l.exit()
	switch {
	case err != nil:
		l.logUnloaded(err)
		c.CloseWith(refusedError{err}) // there may be bytes to send
	case c.proto == nil:
		l.logUnloaded(errors.New("no Protocol from Load"))
		c.CloseWith(ErrRefused)
	default:
		if before == open && c.state == closing && c.err != nil { // a WebSocket, for one
			l.logUnloaded(c.err)
		}
		l.announce(c)
	}
}

// unloadedLog is the least time between two messages about connections that could not be loaded,
// per loop: it may be all of them.
const unloadedLog = time.Second

// logUnloaded logs that a connection of another process ends here. Nobody else may hear of it: the
// old process counts it as moved, and the new one may not have a Protocol for it.
func (l *loop) logUnloaded(err error) {
	if unlogged, ok := l.unloaded.allow(l.now, unloadedLog); ok {
		l.config.Logger.Error("engine: a connection from another process could not be loaded, and is closed",
			"error", err, "unlogged", unlogged)
	}
}
