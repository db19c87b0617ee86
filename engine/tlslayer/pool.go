package tlslayer

import (
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"time"
)

// pool decides which handshakes may use a processor. A handshake takes a millisecond of one, in two
// or three turns, and waits for its peer in between. Those that have begun take turns, and come
// before new ones, whose order is that of freshQueue. A peer that sends a little at a time makes
// its handshake take many turns, so after goOnMax such turns a new one begins all the same. A new
// one that has expired is dropped and costs nothing.
type pool struct {
	turns int // how many may run at a time
	limit int // how many may have begun

	mu      sync.Mutex
	running int                     // have a turn
	begun   int                     // have a goroutine
	leaving int                     // of these, are to make room for others
	waits   uint64                  // counts the times that one has begun to wait for its peer
	all     map[*handshake]struct{} // that have begun
	clients map[netip.Prefix]*poolClient
	ready   []*handshake // have begun, and can go on
	wentOn  int          // of these, since the last new one
	fresh   freshQueue
}

// freshMax is how many handshakes wait for each that may have begun.
const freshMax = 8

// goOnMax is how many turns in a row are given to handshakes that have begun while new ones wait.
const goOnMax = 8

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
		if p.fresh.n >= freshMax*p.limit {
			drop = p.fresh.last()
			p.removeFresh(drop)
		}
		p.fresh.add(p.clientOf(h), h)
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
		h := p.fresh.next()
		mayBegin := h != nil && p.begun < p.limit
		if len(p.ready) > 0 && !(mayBegin && p.wentOn >= goOnMax) {
			p.goOn()
			continue
		}
		p.wentOn = 0
		if !mayBegin {
			break
		}
		c := h.owner
		p.fresh.remove(c, h)
		if time.Now().After(h.deadline) {
			p.left(c)
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
			p.left(c)
			continue
		}
		p.began(h)
		p.give(h)
		go h.run()
	}
	return expired
}

// goOn gives a turn to the handshake that has been ready for longest. p.mu is held.
func (p *pool) goOn() {
	h := p.ready[0]
	p.ready = slices.Delete(p.ready, 0, 1)
	p.wentOn++
	p.give(h)
	select {
	case h.wake <- struct{}{}:
	default: // cancel has woken it
	}
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
	p.removeFresh(h)
}

// removeFresh takes out h if it waits to begin. p.mu is held.
func (p *pool) removeFresh(h *handshake) {
	if c := h.owner; c != nil && p.fresh.remove(c, h) {
		p.left(c)
	}
}

// without returns s without its first v.
func without[T comparable](s []T, v T) []T {
	if i := slices.Index(s, v); i >= 0 {
		return slices.Delete(s, i, i+1)
	}
	return s
}
