package websocket

import (
	"iter"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// Prepared is a message that is encoded once, and compressed once for each size of window that its
// receivers have, to be sent to many. It is immutable, and any goroutine may use it.
type Prepared = wsproto.Prepared

// Prepare encodes a message. It copies data.
func Prepare(op Opcode, data []byte) *Prepared { return wsproto.Prepare(op, data) }

// SendPrepared sends a message that was encoded before. A server does not copy it; a client encodes
// it once more. slow is what becomes of it if the peer does not keep up. It is not an error if the
// message is dropped.
func (c *Conn) SendPrepared(p *Prepared, slow engine.SlowPolicy) error {
	return c.sendPrepared(p, slow, false)
}

// sendPrepared is SendPrepared. If plain, it does not compress.
func (c *Conn) sendPrepared(p *Prepared, slow engine.SlowPolicy, plain bool) error {
	if c.flags&(isOpen|closeSent) != isOpen {
		return engine.ErrClosed
	}
	op, data := p.Message()
	if c.flags&sending != 0 {
		return c.hold(held{op: op, data: data, prepared: p, slow: slow})
	}
	mayDrop := slow == engine.SlowDropNewest || slow == engine.SlowDropOldest
	if c.flags&isClient != 0 {
		return c.sendMasked(op, data, slow, plain || mayDrop && c.takesOver())
	}
	s := c.sender()
	if plain {
		s = &c.service.senders[0]
	}
	size := 0
	if c.flags&anyBits != 0 && len(data) >= packCounted {
		size = p.Size()
	}
	frame := s.Prepared(p, mayDrop)
	if size > 0 && p.Size() != size { // it was compressed just now
		c.conn.AddWork(c.packWork(len(data), false))
	}
	err := c.conn.WriteShared(frame, slow)
	if err != nil {
		s.Drop()
	}
	return err
}

// sendMasked is sendPrepared for a client, each of whose frames has a key of its own. So what slow
// may drop is a copy.
func (c *Conn) sendMasked(op Opcode, data []byte, slow engine.SlowPolicy, plain bool) error {
	if slow == engine.SlowWait {
		return c.send(op, data, plain)
	}
	s := c.sender()
	frame := s.Plain
	if !plain {
		frame = s.Frame
		c.countPacked(len(data))
	}
	f := frame(op, data, true)
	err := c.conn.WriteShared(f.Append(make([]byte, 0, wsproto.MaxHeader+len(f.Payload))), slow)
	if err != nil {
		s.Drop()
	}
	return err
}

// packCounted is the size from which compressing a message counts. Below that, so does the look at
// whether it was compressed.
const packCounted = 4 << 10

// Broadcast sends a prepared message to any set of connections, on whichever loops and engines they
// are. Any goroutine may call it. It posts a task for each loop and each 256 of its connections,
// and copies nothing. Connections that are closed by then are passed over; slow is what becomes of
// the message for those that do not keep up. slices.Values and maps.Keys make the sequence.
// Broadcast ranges over it before it returns and calls no handler meanwhile, so that it may be
// called under a lock; for one connection, calls by one goroutine or under one lock keep their
// order. The error is that of engine.EachSized: engine.ErrBusy if too much waits for a loop, which
// then does not get the message.
func Broadcast(p *Prepared, to iter.Seq[Handle], slow engine.SlowPolicy) error {
	_, data := p.Message()
	return engine.EachSized(func(yield func(engine.Handle) bool) {
		for h := range to {
			if !yield(h.engine()) {
				return
			}
		}
	}, len(data), func(ec *engine.Conn) {
		if c, ok := ec.Protocol().(*protocol); ok {
			(*Conn)(c).SendPrepared(p, slow)
		}
	})
}
