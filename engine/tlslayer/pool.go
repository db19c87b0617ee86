package tlslayer

import (
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"
)

// pool decides which handshakes may use a processor. A handshake takes a millisecond of one, in two
// or three turns, and waits for its peer in between. Those that have begun come before new ones,
// and among these the newest come first: under overload the oldest have given up already. A new one
// that has expired is dropped and costs nothing.
type pool struct {
	turns int // how many may run at a time
	limit int // how many may have begun

	mu      sync.Mutex
	running int                     // have a turn
	begun   int                     // have a goroutine
	leaving int                     // of these, are to make room for others
	waits   uint64                  // counts the times that one has begun to wait for its peer
	all     map[*handshake]struct{} // that have begun
	clients map[netip.Prefix]*begunClient
	ready   []*handshake
	fresh   []*handshake
}

// freshMax is how many handshakes wait for each that may have begun.
const freshMax = 8

// submit makes h wait for a turn. It may come late, when h's goroutine has ended.
func (p *pool) submit(h *handshake) {
	var drop *handshake
	p.mu.Lock()
	if h.exited {
		p.mu.Unlock()
		return
	}
	if h.wake != nil {
		p.ready = append(p.ready, h)
		h.waits = 0
	} else {
		if len(p.fresh) >= freshMax*p.limit {
			drop = p.fresh[0]
			p.fresh = slices.Delete(p.fresh, 0, 1)
		}
		p.fresh = append(p.fresh, h)
	}
	expired := p.dispatch()
	victim := p.makeRoom()
	p.mu.Unlock()
	if drop != nil {
		drop.drop(ErrBusy)
	}
	if victim != nil {
		victim.drop(ErrBusy)
	}
	dropAll(expired)
}

// dispatch gives turns to those that wait, and returns the new ones that have expired. p.mu is
// held.
func (p *pool) dispatch() (expired []*handshake) {
	for p.running < p.turns {
		if n := len(p.ready) - 1; n >= 0 {
			h := p.ready[n]
			p.ready[n] = nil
			p.ready = p.ready[:n]
			p.give(h)
			select {
			case h.wake <- struct{}{}:
			default: // cancel has woken it
			}
			continue
		}
		n := len(p.fresh) - 1
		if n < 0 || p.begun >= p.limit {
			break
		}
		h := p.fresh[n]
		p.fresh[n] = nil
		p.fresh = p.fresh[:n]
		if time.Now().After(h.deadline) {
			expired = append(expired, h)
			continue
		}
		h.mu.Lock()
		over := h.state == done
		if !over {
			h.state = running
			h.wake = make(chan struct{}, 1)
		}
		h.mu.Unlock()
		if over {
			continue
		}
		p.began(h)
		p.give(h)
		go h.run()
	}
	return expired
}

func (p *pool) give(h *handshake) {
	h.hasTurn = true
	p.running++
}

func dropAll(hs []*handshake) {
	for _, h := range hs {
		h.drop(ErrTimeout)
	}
}

// drop cancels h, and tells its connection.
func (h *handshake) drop(err error) {
	h.cancel(err)
	h.notify()
}

// leave gives h's turn to another one. Before that it lets the loops run: a goroutine that is woken
// goes first, in the time slice of the one that wakes it, so that a chain of handshakes would keep
// a loop waiting for ten milliseconds and more.
func (p *pool) leave(h *handshake) {
	runtime.Gosched()
	p.mu.Lock()
	p.takeBack(h)
	expired := p.dispatch()
	victim := p.makeRoom()
	p.mu.Unlock()
	if victim != nil {
		victim.drop(ErrBusy)
	}
	dropAll(expired)
}

func (p *pool) takeBack(h *handshake) {
	if h.hasTurn {
		h.hasTurn = false
		p.running--
	}
}

// again gives h its turn back, after a callback of the user's that may have waited for something.
// For a moment one more than turns may run.
func (p *pool) again(h *handshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !h.hasTurn {
		p.give(h)
	}
}

// exit is called at the end of h's goroutine. It is leave for good.
func (p *pool) exit(h *handshake) {
	runtime.Gosched()
	p.mu.Lock()
	h.exited = true
	p.takeBack(h)
	p.ready = without(p.ready, h)
	p.ended(h)
	expired := p.dispatch()
	p.mu.Unlock()
	dropAll(expired)
}

// remove takes out a new handshake that was canceled.
func (p *pool) remove(h *handshake) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = without(p.fresh, h)
}

func without(hs []*handshake, h *handshake) []*handshake {
	if i := slices.Index(hs, h); i >= 0 {
		return slices.Delete(hs, i, i+1)
	}
	return hs
}
