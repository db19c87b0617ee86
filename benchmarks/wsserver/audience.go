package main

import (
	"sync"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// audience is the set of all connections, on all loops, hence the lock. It takes 8 bytes for each,
// which is why it is not a map, and grows by pages, so that growing leaves no garbage. A connection
// that leaves is only counted. When half of the handles are stale, all stale ones are removed.
type audience struct {
	mu    sync.Mutex
	pages [][]websocket.Handle // all but the last are full
	stale int                  // handles of closed connections
}

const pageSize = 512

func (a *audience) join(h websocket.Handle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(h)
}

func (a *audience) add(h websocket.Handle) {
	last := len(a.pages) - 1
	if last < 0 || len(a.pages[last]) == pageSize {
		a.pages = append(a.pages, make([]websocket.Handle, 0, pageSize))
		last++
	}
	a.pages[last] = append(a.pages[last], h)
}

// left must be called once for each connection that has joined, after it is closed.
func (a *audience) left() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stale++
	if a.stale < pageSize || a.stale < len(a.pages)*pageSize/2 {
		return
	}
	all := a.pages
	a.pages, a.stale = nil, 0
	for _, page := range all {
		for _, h := range page {
			if !h.Closed() {
				a.add(h)
			}
		}
	}
}

// send sends a message to all: it is encoded once, and posted once per loop and 256 connections.
// For a slow connection it is queued, up to engine.Config.MaxOutbound.
func (a *audience) send(op websocket.Opcode, data []byte) {
	message := websocket.Prepare(op, data)
	a.mu.Lock()
	defer a.mu.Unlock()
	websocket.Broadcast(message, a.all, engine.SlowWait)
}

// all is an iterator over the handles, stale ones included.
func (a *audience) all(yield func(websocket.Handle) bool) {
	for _, page := range a.pages {
		for _, h := range page {
			if !yield(h) {
				return
			}
		}
	}
}
