package engine

import (
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/quota"
)

// Place is the place of a connection in the counts of its listener (ListenConfig.MaxConnections and
// MaxPerAddress), while no loop has the connection. Its methods may be called from any goroutine,
// also on a nil Place, which stands for a listener that does not count.
type Place struct {
	listener *Listener // nil: does not count
	client   *quota.Client
	state    atomic.Uint32 // placeLeft and placeTaken
}

const (
	placeLeft  = 1 << iota // Leave was called
	placeTaken             // Adopt has it
)

// KeepPlace takes the connection's place, which it would give up when it ends, also by Release. Use
// it before Release if the connection stays open for the same client: until Leave is called, or
// the connection that has got the Place by AdoptConfig.Place has closed, the listener goes on
// counting it. It returns nil if there is nothing to keep.
func (c *Conn) KeepPlace() *Place {
	if c.state == closed || c.flags&counted == 0 {
		return nil
	}
	c.loop.checkTurn()
	a := c.loop.accepting.admitted.At(c.slot)
	p := &Place{listener: a.listener, client: a.client}
	*a = admitted{}
	c.flags &^= counted
	return p
}

// Leave gives the place back. A second call does nothing, nor does a call after a connection has
// been adopted with it.
func (p *Place) Leave() {
	if p.counts() && p.state.Or(placeLeft) == 0 {
		p.listener.dismiss(p.client)
	}
}

func (p *Place) counts() bool { return p != nil && p.listener != nil }

// take reports whether the place is there, and is now that of a connection on its way to a loop:
// from then on Leave does nothing.
func (p *Place) take() bool { return p.counts() && p.state.CompareAndSwap(0, placeTaken) }

// giveBack undoes take, for a connection that no loop has taken. If Leave was called meanwhile, it
// is done now.
func (p *Place) giveBack() {
	if !p.state.CompareAndSwap(placeTaken, 0) {
		p.listener.dismiss(p.client)
	}
}
