package engine

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Refusal is a cause why a connection was closed as soon as it was accepted.
type Refusal int

const (
	RefusedDescriptors Refusal = iota // the process or the system had none left for more than a second
	RefusedEngine                     // Config.MaxConnections
	RefusedListener                   // ListenConfig.MaxConnections
	RefusedAddress                    // ListenConfig.MaxPerAddress
	Refusals                          // how many there are
)

var refusalNames = [Refusals]string{"descriptors", "engine", "listener", "address"}

func (r Refusal) String() string {
	if r < 0 || r >= Refusals {
		return fmt.Sprintf("Refusal(%d)", int(r))
	}
	return refusalNames[r]
}

// census counts the connections of one listener, whose ends come on any loop.
type census struct {
	open atomic.Int32

	mu      sync.Mutex
	callers map[netip.Prefix]*caller
}

// caller is a remote address with connections.
type caller struct {
	prefix netip.Prefix
	open   int
}

// origin is where a connection came from, for those that a census counts.
type origin struct {
	listener *Listener
	caller   *caller
}

// admit says whether the connection fd may stay, and counts it. It runs on the listener's loop.
func (ln *Listener) admit(fd int) (caller *caller, ok bool) {
	l, lc := ln.loop, &ln.config
	refusal := RefusedListener
	switch most := l.config.MaxConnections; {
	case l.refusing:
		refusal = RefusedDescriptors
	case most > 0 && l.engine.connections() >= most:
		refusal = RefusedEngine
	case lc.MaxConnections > 0 && int(ln.census.open.Load()) >= lc.MaxConnections:
	default:
		if lc.MaxPerAddress > 0 {
			if caller = ln.census.enter(callerPrefix(l.driver.Remote(fd).Addr()), lc.MaxPerAddress); caller == nil {
				refusal = RefusedAddress
				break
			}
		}
		if lc.counts() {
			ln.census.open.Add(1)
		}
		return caller, true
	}
	l.stats.Refused[refusal]++
	ln.refused++
	l.engine.backend.CloseFd(fd)
	return nil, false
}

// callerPrefix is what counts as one remote address. Peers of a unix socket are one.
func callerPrefix(a netip.Addr) netip.Prefix {
	n := 64
	if a.Is4() {
		n = 32
	}
	p, _ := a.WithZone("").Prefix(n)
	return p
}

// enter counts a connection of p, nil if that is one too many.
func (s *census) enter(p netip.Prefix, most int) *caller {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.callers[p]
	if c == nil {
		if s.callers == nil {
			s.callers = make(map[netip.Prefix]*caller)
		}
		c = &caller{prefix: p}
		s.callers[p] = c
	}
	if c.open >= most {
		return nil
	}
	c.open++
	return c
}

// dismiss is called once for each connection that was admitted.
func (ln *Listener) dismiss(c *caller) {
	if !ln.config.counts() {
		return
	}
	s := &ln.census
	s.open.Add(-1)
	if c == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.open--; c.open == 0 {
		delete(s.callers, c.prefix)
	}
}

// connections is the number of connections of all loops, those that are on their way included.
func (e *Engine) connections() (n int) {
	for _, l := range e.loops {
		n += int(l.load.Load())
	}
	return n
}

// remember keeps where c came from until it ends. Only listeners with limits of their own need it.
func (l *loop) remember(c *Conn, ln *Listener, caller *caller) {
	if !ln.config.counts() {
		return
	}
	for l.origins.Len() <= c.slot {
		l.origins.Grow()
	}
	*l.origins.At(c.slot) = origin{ln, caller}
	c.flags |= counted
}

func (l *loop) forget(c *Conn) {
	if c.flags&counted != 0 {
		o := l.origins.At(c.slot)
		o.listener.dismiss(o.caller)
		*o = origin{}
	}
}

func (lc *ListenConfig) counts() bool { return lc.MaxConnections > 0 || lc.MaxPerAddress > 0 }

// spend spends one of the connections that AcceptRate allows, and says whether another one is left. If not, the listener
// pauses until there is.
func (ln *Listener) spend() (more bool) {
	rate := ln.config.AcceptRate
	if rate <= 0 {
		return true
	}
	now := ln.loop.now
	one := time.Second / time.Duration(rate)
	ln.paid = max(ln.paid, now-time.Second) + one // what was not used within a second is lost
	if ln.paid+one <= now {
		return true
	}
	ln.pause(ln.paid + one - now)
	return false
}
