package tlslayer

import (
	"container/list"
	"math/bits"
	"net/netip"
	"slices"
	"sync"
)

// heldBytes counts what handshakes have been fed, per client, until they end. What they have read
// counts too: a tls.Conn does not tell what it keeps, and that may be a message of 256 KiB that is
// not whole. When there is no room, whoever holds most makes it. So a client that holds a lot
// cannot keep out one that needs little.
//
// Many clients may hold no more than one needs. Of these the handshakes make room whose ClientHello
// is not whole, the oldest first: a ClientHello is sent at once, and the pool limits the others.
// Its methods may be called by any goroutine.
type heldBytes struct {
	limit int

	mu      sync.Mutex
	sum     int
	clients map[netip.Prefix]*heldClient
	bySize  [bits.UintSize + 1]map[*heldClient]struct{} // by the length of bytes in bits
	partial list.List                                   // of *handshake, see wait; the oldest first
}

// heldClient is a client that holds something.
type heldClient struct {
	prefix netip.Prefix
	bytes  int
	of     []*handshake // that hold something
}

// partialShare is the part of the limit up to which a client may take the place of others.
const partialShare = 8

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
		x.unlist(v)
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
	x.unlist(h)
}

// wait notes that the ClientHello of h is not whole.
func (x *heldBytes) wait(h *handshake) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h.partial == nil {
		h.partial = x.partial.PushBack(h)
	}
}

// whole ends wait.
func (x *heldBytes) whole(h *handshake) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unlist(h)
}

// unlist takes h off x.partial. x.mu is held.
func (x *heldBytes) unlist(h *handshake) {
	if h.partial != nil {
		x.partial.Remove(h.partial)
		h.partial = nil
	}
}

func (x *heldBytes) bytes() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sum
}

// victim returns the largest handshake of the client that holds most. If that would not be fair,
// since h's client holds as much, or h itself, it returns the oldest of x.partial, or nil if h's
// client takes a large part of all. x.mu is held.
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
	if oldest := x.partial.Front(); oldest != nil && oldest != h.partial && mine+n <= x.limit/partialShare {
		return oldest.Value.(*handshake)
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
