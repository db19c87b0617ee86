package engine

import (
	"net/netip"

	"github.com/myriadnet/myriad/engine/quota"
)

// reserve counts a new connection for l, unless there are Config.MaxConnections already. Several
// loops may accept at the same time.
func (e *Engine) reserve(l *loop) bool {
	if limit := e.config.MaxConnections; limit > 0 {
		e.reserving.Lock()
		defer e.reserving.Unlock()
		if e.connections() >= limit {
			return false
		}
	}
	l.load.Add(1)
	return true
}

// place takes a new connection from loop l, where it is counted, to the loop that will serve it. It
// stays on l if l or that loop is ending.
func (e *Engine) place(fd int, ln *Listener, client *quota.Client, l *loop) {
	to := l
	if !l.stopping && !ln.config.PerLoop {
		to = e.choose(fd, ln, l)
	}
	if to != l {
		to.load.Add(1)
		n := newTask(adoptTask)
		n.Value.fd, n.Value.listener, n.Value.client = fd, ln, client
		if to.push(n) == nil {
			l.load.Add(-1)
			return
		}
		to.load.Add(-1)
	}
	l.adopt(fd, ln, client, nil, nil)
}

// choose returns the loop for a new connection, which l has counted: the one with the fewest, or l
// if that has as few others.
func (e *Engine) choose(fd int, ln *Listener, l *loop) *loop {
	if ln.config.FollowCPU && len(e.config.CPUs) > 0 {
		cpu := l.sockets.IncomingCPU(fd)
		for i, o := range e.loops {
			if e.config.CPUs[i%len(e.config.CPUs)] == cpu {
				return o
			}
		}
	}
	if ln.config.PlaceByAddress && ln.network != "unix" {
		return e.loops[hashPrefix(quota.Prefix(l.sockets.Remote(fd).Addr()))%uint64(len(e.loops))]
	}
	if o := e.leastLoaded(); o.load.Load() < l.load.Load()-1 {
		return o
	}
	return l
}

// hashPrefix is FNV-1a of an address prefix. It is the same in every process.
func hashPrefix(p netip.Prefix) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range p.Addr().As16() {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h ^ h>>32 // the low bits alone spread poorly over a few loops
}

// loopOr returns loop number *i, or the loop with the fewest connections if i is nil.
func (e *Engine) loopOr(i *int) (*loop, error) {
	if i == nil {
		return e.leastLoaded(), nil
	}
	return e.loop(*i)
}

// leastLoaded returns the loop with the fewest connections.
func (e *Engine) leastLoaded() *loop {
	to := e.loops[0]
	for _, o := range e.loops[1:] {
		if o.load.Load() < to.load.Load() {
			to = o
		}
	}
	return to
}
