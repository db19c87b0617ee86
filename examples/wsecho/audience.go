package main

import (
	"slices"
	"sync"

	"github.com/myriadnet/myriad/codec/websocket"
	"github.com/myriadnet/myriad/engine"
)

// audience is all connections, on whichever loops they are: hence the lock. It is 8 bytes for each of them, which is why it is
// no map: to leave is to be counted, and those who have left are looked for when they are half of it.
type audience struct {
	mu   sync.Mutex
	all  []websocket.Handle
	gone int // of all
}

func (a *audience) join(h websocket.Handle) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, h)
}

// left is called behind the end of each that has joined.
func (a *audience) left() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.gone++; a.gone > len(a.all)/2 {
		a.all = slices.DeleteFunc(a.all, websocket.Handle.Closed)
		a.gone = 0
	}
}

// tell sends a message to all: encoded once, one task per loop and 256 connections. Who does not keep up has it queued, up to
// engine.Config.MaxOutbound.
func (a *audience) tell(op websocket.Opcode, data []byte) {
	message := websocket.Prepare(op, data)
	a.mu.Lock()
	defer a.mu.Unlock()
	websocket.Broadcast(message, slices.Values(a.all), engine.SlowWait)
}
