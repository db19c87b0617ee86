package tlslayer

import "net/netip"

// freshQueue has the handshakes that wait to begin. The order is fair to clients, so that one with
// many does not keep out the others:
//
//   - Clients of whom none has begun come first. Of these the one with the newest is next: under
//     overload the oldest have given up already.
//   - Then the others take turns.
//   - Of a client's own the newest is next.
//
// It is part of the pool, and used under its lock.
type freshQueue struct {
	n         int           // handshakes
	newcomers []*poolClient // of whom none has begun; the one with the newest is the last
	served    []*poolClient // the others; the one whose turn is next is the first
}

// poolClient is a client with handshakes that wait to begin, or have begun.
type poolClient struct {
	prefix netip.Prefix
	begun  int
	fresh  []*handshake // wait to begin, the newest is the last
	served bool         // one has begun since it has had any
}

// clientOf returns the client of h. p.mu is held.
func (p *pool) clientOf(h *handshake) *poolClient {
	if h.owner == nil {
		c := p.clients[h.prefix]
		if c == nil {
			if p.clients == nil {
				p.clients = make(map[netip.Prefix]*poolClient)
			}
			c = &poolClient{prefix: h.prefix}
			p.clients[h.prefix] = c
		}
		h.owner = c
	}
	return h.owner
}

// left forgets a client that has no handshake any more. p.mu is held.
func (p *pool) left(c *poolClient) {
	if c.begun == 0 && len(c.fresh) == 0 {
		delete(p.clients, c.prefix)
	}
}

// add makes h, of client c, wait.
func (q *freshQueue) add(c *poolClient, h *handshake) {
	switch {
	case !c.served:
		q.drop(c)
		q.newcomers = append(q.newcomers, c)
	case len(c.fresh) == 0:
		q.served = append(q.served, c)
	}
	c.fresh = append(c.fresh, h)
	q.n++
}

// next returns the handshake that begins next, nil if none waits.
func (q *freshQueue) next() *handshake {
	var c *poolClient
	switch {
	case len(q.newcomers) > 0:
		c = q.newcomers[len(q.newcomers)-1]
	case len(q.served) > 0:
		c = q.served[0]
	default:
		return nil
	}
	return c.fresh[len(c.fresh)-1]
}

// last returns the one that makes room for others: the oldest of the client with most. There must
// be one.
func (q *freshQueue) last() *handshake {
	var most *poolClient
	for _, clients := range [...][]*poolClient{q.newcomers, q.served} {
		for _, c := range clients {
			if most == nil || len(c.fresh) > len(most.fresh) {
				most = c
			}
		}
	}
	return most.fresh[0]
}

// remove takes out h, of client c, and reports whether it was there.
func (q *freshQueue) remove(c *poolClient, h *handshake) bool {
	n := len(c.fresh)
	if c.fresh = without(c.fresh, h); len(c.fresh) == n {
		return false
	}
	q.n--
	if n == 1 {
		q.drop(c)
	}
	return true
}

// begun puts c, of whom one begins, behind the others.
func (q *freshQueue) begun(c *poolClient) {
	q.drop(c)
	c.served = true
	if len(c.fresh) > 0 {
		q.served = append(q.served, c)
	}
}

// drop takes c off its list.
func (q *freshQueue) drop(c *poolClient) {
	if c.served {
		q.served = without(q.served, c)
	} else {
		q.newcomers = without(q.newcomers, c)
	}
}
