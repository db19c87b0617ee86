package tlslayer

import "time"

// patience is the part of a handshake's time that its peer may take for an answer when all
// handshakes have begun that may, and others wait.
const patience = 8

// began counts a handshake that gets a goroutine. p.mu is held.
func (p *pool) began(h *handshake) {
	if p.all == nil {
		p.all = make(map[*handshake]struct{})
	}
	c := p.clientOf(h)
	p.fresh.begun(c)
	c.begun++
	p.all[h] = struct{}{}
	p.begun++
}

// ended counts one whose goroutine has ended. p.mu is held.
func (p *pool) ended(h *handshake) {
	h.owner.begun--
	p.left(h.owner)
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

// makeRoom returns the handshake that is dropped for the one that begins next; nil: none.
// p.mu is held.
func (p *pool) makeRoom() *handshake {
	if h := p.fresh.next(); h != nil && p.begun >= p.limit {
		return p.victim(h)
	}
	return nil
}

// victim returns a handshake that makes room for h, when all have begun that may; nil: h waits. It
// is of the client that has most, and waits for that client longest, if h's client has two less.
// Otherwise it is the one that waits longest of all, if that is too long. So clients that begin
// handshakes and say nothing keep out nobody else. p.mu is held.
func (p *pool) victim(h *handshake) *handshake {
	if p.leaving >= p.fresh.n {
		return nil // there will be room
	}
	var greedy, slow *handshake
	for v := range p.all {
		if v.waits == 0 || v.leaving {
			continue
		}
		if slow == nil || v.waits < slow.waits {
			slow = v
		}
		if greedy == nil || v.owner.begun > greedy.owner.begun ||
			v.owner == greedy.owner && v.waits < greedy.waits {
			greedy = v
		}
	}
	v := greedy
	switch {
	case greedy == nil:
		return nil
	case greedy.owner.begun > h.owner.begun+1:
	case time.Since(slow.since) > h.layer.config.HandshakeTimeout/patience:
		v = slow
	default:
		return nil
	}
	v.leaving = true
	p.leaving++
	return v
}
