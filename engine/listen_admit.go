package engine

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/myriadnet/myriad/engine/quota"
)

// Refusal is why a connection was closed as soon as it was accepted. With ListenConfig.Proxy it may
// be closed when its PROXY header has come, or should have: then LoopStats.Accepted and Closed
// count it, too.
type Refusal int

const (
	// The process or the system was out of descriptors for more than a second.
	RefusedDescriptors Refusal = iota
	RefusedEngine              // Config.MaxConnections
	RefusedListener            // ListenConfig.MaxConnections
	RefusedAddress             // ListenConfig.MaxPerAddress
	RefusedProxy               // ListenConfig.Proxy: an untrusted peer, or no valid header
	Refusals                   // the number of causes
)

var refusalNames = [Refusals]string{"descriptors", "engine", "listener", "address", "proxy"}

// String returns the name of the cause, as it is used for metrics.
func (r Refusal) String() string {
	if r < 0 || r >= Refusals {
		return fmt.Sprintf("Refusal(%d)", int(r))
	}
	return refusalNames[r]
}

// admitted is the listener of a connection that is counted, and its client.
type admitted struct {
	listener *Listener
	client   *quota.Client
}

// admit counts the connection fd, for the acceptor's loop as well, or closes it if it is over a
// limit, or its peer is gone. ok reports which. It runs on the acceptor's loop.
func (a *acceptor) admit(fd int) (client *quota.Client, ok bool) {
	l := a.loop
	refusal := RefusedDescriptors
	switch {
	case l.accepting.refusing:
	case a.isGone(fd):
		l.engine.backend.CloseFd(fd)
		return nil, false
	case a.turnsAway(fd):
		refusal = RefusedProxy
	case !l.engine.reserve(l):
		refusal = RefusedEngine
	case !a.counts():
		return nil, true
	default:
		client, err := a.acquire(fd)
		switch err {
		case nil:
			return client, true
		case quota.ErrTotal:
			refusal = RefusedListener
		default:
			refusal = RefusedAddress
		}
		l.load.Add(-1)
	}
	l.stats.Refused[refusal]++
	a.refused++
	l.engine.backend.CloseFd(fd)
	return nil, false
}

// counts reports whether ln has limits of its own.
func (ln *Listener) counts() bool { return ln.quota.Max > 0 || ln.quota.MaxPerClient > 0 }

// acquire counts the connection fd. Behind a proxy its client is not known yet: see claim.
func (a *acceptor) acquire(fd int) (*quota.Client, error) {
	if a.proxy != nil {
		return nil, a.quota.Reserve()
	}
	var prefix netip.Prefix
	if a.quota.MaxPerClient > 0 {
		prefix = quota.Prefix(a.loop.sockets.Remote(fd).Addr())
	}
	return a.quota.Acquire(prefix)
}

// dismiss is called once for each connection that was admitted.
func (ln *Listener) dismiss(c *quota.Client) {
	if ln.counts() {
		ln.quota.Release(c)
	}
}

// spend uses one of the connections that AcceptRate allows, of which each acceptor has an equal
// share. It reports whether another one is left; if not, the acceptor pauses until there is one.
func (a *acceptor) spend() (more bool) {
	rate := a.config.AcceptRate
	if rate <= 0 {
		return true
	}
	now := a.loop.now
	one := time.Second * time.Duration(len(a.acceptors)) / time.Duration(rate)
	a.paid = max(a.paid, now-time.Second) + one // what was not used within a second is lost
	if a.paid+one <= now {
		return true
	}
	a.pause(a.paid + one - now)
	return false
}
