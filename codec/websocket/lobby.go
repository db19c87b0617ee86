package websocket

import (
	"net/netip"
	"sync"

	"github.com/myriadnet/myriad/engine"
)

// lobby counts what of a Server's is in progress, opening handshakes or HTTP connections: in all, and by where it comes from.
type lobby struct {
	mu      sync.Mutex
	open    int
	callers map[netip.Prefix]*caller
	spare   *caller // that has gone, for the next one
}

// caller is a remote address with something in progress.
type caller struct {
	origin netip.Prefix
	open   int
}

// enter counts one more, and says no if it is one too many. from is to be given to leave; nil without a limit per address.
func (l *lobby) enter(c *engine.Conn, most, mostPerAddress int) (from *caller, ok bool) {
	var origin netip.Prefix
	if mostPerAddress > 0 {
		origin = c.RemotePrefix()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if most > 0 && l.open >= most {
		return nil, false
	}
	if mostPerAddress > 0 {
		if from = l.callers[origin]; from == nil {
			if l.callers == nil {
				l.callers = make(map[netip.Prefix]*caller)
			}
			if from, l.spare = l.spare, nil; from == nil {
				from = new(caller)
			}
			from.origin = origin
			l.callers[origin] = from
		}
		if from.open >= mostPerAddress {
			return nil, false
		}
		from.open++
	}
	l.open++
	return from, true
}

// leave is called once for each one that has entered.
func (l *lobby) leave(from *caller) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if from == nil {
		return
	}
	if from.open--; from.open == 0 {
		delete(l.callers, from.origin)
		l.spare = from
	}
}
