package tlslayer

import (
	"math/bits"
	"net/netip"
	"slices"
	"sync"
)

// heldBytes counts what handshakes have been fed, per client, until they end. What they have read
// counts too: a tls.Conn does not tell what it keeps, and that may be a message of 256 KiB that is
// not whole. When there is no room, whoever holds most makes it. So a client that holds a lot
// cannot keep out one that needs little. Its methods may be called by any goroutine.
type heldBytes struct {
	limit int

	mu      sync.Mutex
	sum     int
	clients map[netip.Prefix]*heldClient
	bySize  [bits.UintSize + 1]map[*heldClient]struct{} // by the length of bytes in bits
}

// heldClient is a client that holds something.
type heldClient struct {
	prefix netip.Prefix
	bytes  int
	of     []*handshake // that hold something
}

// heldLook is how many clients of about the same size are compared.
const heldLook = 8

// hold counts n more bytes of h, and reports whether there is room for them. The caller drops the
// handshakes that have made room, without a lock.
func (x *heldBytes) hold(h *handshake, n int) (victims []*handshake, ok bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for x.sum+n > x.limit {
		v := x.victim(h, n)
		if v == nil {
			return victims, false
		}
		x.add(v, -v.held)
		victims = append(victims, v)
	}
	x.add(h, n)
	return victims, true
}

// release counts no more than n bytes of h. It may have made room already.
func (x *heldBytes) release(h *handshake, n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.add(h, min(n-h.held, 0))
}

func (x *heldBytes) bytes() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sum
}

// victim returns the largest handshake of the client that holds most, nil if that would not be
// fair: h's client holds as much, or h itself. x.mu is held.
func (x *heldBytes) victim(h *handshake, n int) *handshake {
	var most *heldClient
	for i := len(x.bySize) - 1; i > 0 && most == nil; i-- {
		looked := 0
		for c := range x.bySize[i] {
			if most == nil || c.bytes > most.bytes {
				most = c
			}
			if looked++; looked == heldLook {
				break
			}
		}
	}
	if most == nil {
		return nil
	}
	v := slices.MaxFunc(most.of, func(a, b *handshake) int { return a.held - b.held })
	mine := 0
	if c := x.clients[h.prefix]; c != nil {
		mine = c.bytes
	}
	if most.prefix == h.prefix && v.held > h.held+n || most.prefix != h.prefix && most.bytes > mine+n {
		return v
	}
	return nil
}

// add changes what h holds by n. x.mu is held.
func (x *heldBytes) add(h *handshake, n int) {
	if n == 0 {
		return
	}
	c := x.clients[h.prefix]
	if c == nil {
		if x.clients == nil {
			x.clients = make(map[netip.Prefix]*heldClient)
		}
		c = &heldClient{prefix: h.prefix}
		x.clients[h.prefix] = c
	}
	if h.held == 0 {
		c.of = append(c.of, h)
	}
	before := bits.Len(uint(c.bytes))
	h.held += n
	c.bytes += n
	x.sum += n
	if h.held == 0 {
		c.of = without(c.of, h)
	}
	if now := bits.Len(uint(c.bytes)); now != before {
		delete(x.bySize[before], c)
		if x.bySize[now] == nil {
			x.bySize[now] = make(map[*heldClient]struct{})
		}
		x.bySize[now][c] = struct{}{}
	}
	if c.bytes == 0 {
		delete(x.bySize[0], c)
		delete(x.clients, c.prefix)
	}
}
