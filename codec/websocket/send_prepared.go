package websocket

import (
	"iter"
	"sync"
	"sync/atomic"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
	"github.com/myriadnet/myriad/wsproto/deflate"
)

// Prepared is a message that is encoded once, and compressed once for each size of window that its receivers have, to be sent
// to many. It is immutable, and may be used by any goroutine.
type Prepared struct {
	op       Opcode
	plain    []byte // the frame
	data     []byte // the end of plain
	mu       sync.Mutex
	variants [wsproto.MaxWindowBits + 1]atomic.Pointer[[]byte] // compressed frames by window bits; nil: not made yet
}

// Prepare encodes a message. data is copied.
func Prepare(op Opcode, data []byte) *Prepared {
	p := &Prepared{op: op, plain: wsproto.AppendFrame(make([]byte, 0, wsproto.MaxHeader+len(data)), op, data)}
	p.data = p.plain[len(p.plain)-len(data):]
	return p
}

// compressed is the message as a compressed frame, nil if that would not be smaller. The first who asks for a size makes it,
// with his level.
func (p *Prepared) compressed(level int, bits uint8) []byte {
	if v := p.variants[bits].Load(); v != nil {
		return *v
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.variants[bits].Load(); v != nil {
		return *v
	}
	var frame []byte
	if out, err := deflate.Append(nil, p.data, nil, level, bits); err == nil && len(out) < len(p.data) {
		h := wsproto.Header{Fin: true, RSV: wsproto.RSV1, Opcode: p.op, Length: uint64(len(out))}
		frame = append(wsproto.AppendHeader(make([]byte, 0, wsproto.MaxHeader+len(out)), h), out...)
	}
	p.variants[bits].Store(&frame)
	return frame
}

// SendPrepared sends a message that was encoded before, a server without copying it. slow says what becomes of it if the peer
// does not keep up; that it was dropped is no error.
func (c *Conn) SendPrepared(p *Prepared, slow engine.SlowPolicy) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	if c.flags&sending != 0 {
		return c.hold(p.op, p.data, false)
	}
	if c.flags&isClient != 0 { // each frame of a client has a key of its own
		return c.send(p.op, p.data)
	}
	drops := slow == engine.SlowDropNewest || slow == engine.SlowDropOldest
	window := c.window()
	// With context takeover a compressed message must not get lost: later ones would refer to what the peer never saw.
	if c.sendBits() == 0 || !c.compresses(len(p.data)) || window != nil && drops {
		return c.conn.WriteShared(p.plain, slow)
	}
	frame := p.compressed(c.service.compression.Level, c.sendBits())
	if frame == nil {
		return c.conn.WriteShared(p.plain, slow)
	}
	if err := c.conn.WriteShared(frame, slow); err != nil {
		return err
	}
	if window != nil {
		window.Add(p.data)
	}
	return nil
}

// Broadcast sends a prepared message to any set of connections, on whichever loops and engines they are. It may be called
// from any goroutine, posts one task per loop and 256 connections, and copies nothing. Those that are closed by then are
// passed over; slow says what becomes of the message for those that do not keep up. slices.Values and maps.Keys make the
// sequence from what one keeps.
func Broadcast(p *Prepared, to iter.Seq[Handle], slow engine.SlowPolicy) {
	engine.Each(func(yield func(engine.Handle) bool) {
		for h := range to {
			if !yield(h.engine()) {
				return
			}
		}
	}, func(ec *engine.Conn) {
		if c, ok := ec.Protocol().(*protocol); ok {
			(*Conn)(c).SendPrepared(p, slow)
		}
	})
}
