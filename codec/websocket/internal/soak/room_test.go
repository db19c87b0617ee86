package soak

import (
	"errors"
	"maps"
	"net/netip"
	"sync"
	"time"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// room is the audience of a broadcast.
type room struct {
	mu      sync.Mutex
	all     map[websocket.Handle]bool
	number  uint64          // of the last message
	refused map[uint64]bool // messages that a loop had no room for
}

func (r *room) join(c *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = make(map[websocket.Handle]bool)
	}
	r.all[c.Handle()] = true
}

func (r *room) leave(c *websocket.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all, c.Handle())
}

// say sends everybody the next message.
func (r *room) say(size int, slow engine.SlowPolicy) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) == 0 {
		return nil
	}
	r.number++
	err := websocket.Broadcast(websocket.Prepare(websocket.Binary, numbered(r.number, size)), maps.Keys(r.all), slow)
	if errors.Is(err, engine.ErrBusy) {
		if r.refused == nil {
			r.refused = make(map[uint64]bool)
		}
		r.refused[r.number] = true
	}
	return err
}

// missed returns the first message between from and to that all loops had room for, or 0.
func (r *room) missed(from, to uint64) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n := from + 1; n < to; n++ {
		if !r.refused[n] {
			return n
		}
	}
	return 0
}

// last returns the number of the last message.
func (r *room) last() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.number
}

// talk sends messages to both rooms until the end begins.
func (g *generation) talk() {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for i := 0; !g.ending.Load(); i++ {
		<-ticker.C
		err := g.room.say(i%1000, engine.SlowWait)
		if err == nil {
			err = g.slow.say(64<<10, engine.SlowClose)
		}
		if err != nil && !errors.Is(err, engine.ErrBusy) {
			g.fault("talker", err)
		}
	}
}

// told passes on why a slow peer was closed.
func (g *generation) told(peer netip.AddrPort, reason error) {
	if c, ok := g.cuts.Load(peer.String()); ok {
		c.(chan error) <- reason
	}
}
