package main

import (
	"sync"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// audience is all connections, on whichever loops they are: hence the lock. It is 8 bytes for each of them, which is why it is
// no map, and in pages, so that growing leaves no garbage. To leave is to be counted, and those who have left are looked for when
// they are half of it.
type audience struct {
	mu    sync.Mutex
	pages [][]websocket.Handle // all but the last are full
	gone  int                  // of them
}

const page = 512

func (a *audience) join(h websocket.Handle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.add(h)
}

func (a *audience) add(h websocket.Handle) {
	last := len(a.pages) - 1
	if last < 0 || len(a.pages[last]) == page {
		a.pages = append(a.pages, make([]websocket.Handle, 0, page))
		last++
	}
	a.pages[last] = append(a.pages[last], h)
}

// left is called behind the end of each that has joined.
func (a *audience) left() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone++; a.gone < page || a.gone < len(a.pages)*page/2 {
		return
	}
	all := a.pages
	a.pages, a.gone = nil, 0
	for _, p := range all {
		for _, h := range p {
			if !h.Closed() {
				a.add(h)
			}
		}
	}
}

// tell sends a message to all: encoded once, one task per loop and 256 connections. Who does not keep up has it queued, up to
// engine.Config.MaxOutbound.
func (a *audience) tell(op websocket.Opcode, data []byte) {
	message := websocket.Prepare(op, data)
	a.mu.Lock()
	defer a.mu.Unlock()
	websocket.Broadcast(message, a.all, engine.SlowWait)
}

func (a *audience) all(yield func(websocket.Handle) bool) {
	for _, p := range a.pages {
		for _, h := range p {
			if !yield(h) {
				return
			}
		}
	}
}
