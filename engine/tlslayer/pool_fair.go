package tlslayer

import (
	"net/netip"
	"time"
)

// begunClient is a client with handshakes that have begun.
type begunClient struct{ begun int }

// patience is the part of a handshake's time that its peer may take for an answer when all
// handshakes have begun that may, and others wait.
const patience = 8

// began counts a handshake that gets a goroutine. p.mu is held.
func (p *pool) began(h *handshake) {
	if p.clients == nil {
		p.clients, p.all = make(map[netip.Prefix]*begunClient), make(map[*handshake]struct{})
	}
	c := p.clients[h.prefix]
	if c == nil {
		c = new(begunClient)
		p.clients[h.prefix] = c
	}
	c.begun++
	h.begunBy = c
	p.all[h] = struct{}{}
	p.begun++
}

// ended counts one whose goroutine has ended. p.mu is held.
func (p *pool) ended(h *handshake) {
	if h.begunBy.begun--; h.begunBy.begun == 0 {
		delete(p.clients, h.prefix)
	}
	delete(p.all, h)
	p.begun--
	if h.leaving {
		p.leaving--
	}
}

// pause is leave for a handshake that waits for its peer.
func (p *pool) pause(h *handshake) {
	p.mu.Lock()
	p.waits++
	h.waits, h.since = p.waits, time.Now()
	p.mu.Unlock()
	p.leave(h)
}

// makeRoom returns the handshake that is dropped for the newest that waits to begin; nil: none.
// p.mu is held.
func (p *pool) makeRoom() *handshake {
	if n := len(p.fresh); n > 0 && p.begun >= p.limit {
		return p.victim(p.fresh[n-1])
	}
	return nil
}

// victim returns a handshake that makes room for h, when all have begun that may; nil: h waits. It
// is of the client that has most, and waits for that client longest, if h's client has two less.
// Otherwise it is the one that waits longest of all, if that is too long. So clients that begin
// handshakes and say nothing keep out nobody else. p.mu is held.
func (p *pool) victim(h *handshake) *handshake {
	if p.leaving >= len(p.fresh) {
		return nil // there will be room
	}
	mine := 0
	if c := p.clients[h.prefix]; c != nil {
		mine = c.begun
	}
	var greedy, slow *handshake
	for v := range p.all {
		if v.waits == 0 || v.leaving {
			continue
		}
		if slow == nil || v.waits < slow.waits {
			slow = v
		}
		if greedy == nil || v.begunBy.begun > greedy.begunBy.begun ||
			v.begunBy == greedy.begunBy && v.waits < greedy.waits {
			greedy = v
		}
	}
	v := greedy
	switch {
	case greedy == nil:
		return nil
	case greedy.begunBy.begun > mine+1:
	case time.Since(slow.since) > h.layer.config.HandshakeTimeout/patience:
		v = slow
	default:
		return nil
	}
	v.leaving = true
	p.leaving++
	return v
}
