package engine

import (
	"io"
	"syscall"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/internal/paged"
)

// This file has what stands between a socket and a Protocol: a layer.Stream, which opens what was
// read and seals what is written. A connection with one has the flag layered.
//
// Everything that waits is where it would be without a layer, in one run of bytes per direction,
// and a number tells where it changes:
//
//	c.in    plaintext that the Protocol has left, then the beginning of a record
//	c.out   records that the kernel has not taken, then plaintext
//
// Plaintext is sealed when it is its turn to go out, one cork at a time. So what a peer does not
// take can still be dropped, and shared messages stay shared until then.

// Layer is what can stand between sockets and Protocols: TLS, which package tlslayer makes. Its
// methods are for the engine.
type Layer = layer.Layer

// layers is what a loop knows about layers.
type layers struct {
	all    paged.Array[layerState] // by slot
	shared any                     // what the streams have in common: see layer.Handshake
	sealed []byte                  // what flushSealed seals to

	handshaking int // handshakes in progress
}

// layerState is the layer of one connection.
type layerState struct {
	stream layer.Stream
	plain  uint32 // bytes at the beginning of c.in that are opened
	sealed uint32 // bytes at the beginning of c.out that are sealed
}

const (
	layerRecord  = 17 << 10 // the size of a record, about
	layerContent = 16 << 10 // of what it contains
	layerEnd     = 128      // the size of the last record, at most
)

// setLayer puts s between the socket of c and its Protocol. What is queued was written by the
// handshake, and what was read is not opened.
func (l *loop) setLayer(c *Conn, s layer.Stream) {
	for l.layers.all.Len() <= c.slot {
		l.layers.all.Grow()
	}
	*l.layers.all.At(c.slot) = layerState{stream: s, sealed: uint32(c.out.Len())}
	l.memory.held += s.Held()
	c.flags |= layered
}

// adoptedLayer is the layer of a connection that Adopt has taken over.
type adoptedLayer struct {
	stream layer.Stream
	plain  int    // bytes at the beginning of what was read that are opened
	out    []byte // records that were not sent
}

// returnLayer is setLayer for a connection that had the layer before, was released, and comes back.
func (l *loop) returnLayer(c *Conn, a *adoptedLayer) {
	a.stream.Attach(&l.layers.shared)
	if len(a.out) > 0 {
		c.out.Append(&l.memory.pool, a.out, len(a.out))
		c.touch()
	}
	l.setLayer(c, a.stream)
	y := l.layers.all.At(c.slot)
	y.plain = uint32(a.plain)
	l.openEnd(c, y)
}

// openEnd acts on an end that the layer of c had found before c came here. If there is input, that
// will be fed first.
func (l *loop) openEnd(c *Conn, y *layerState) {
	if c.in != nil {
		return
	}
	held := y.stream.Held()
	_, _, _, err := y.stream.Open(nil, 0)
	l.memory.held += y.stream.Held() - held
	l.opened(c, y, err)
}

// forgetLayer is called when c is closed.
func (l *loop) forgetLayer(c *Conn) {
	if c.flags&layered != 0 {
		y := l.layers.all.At(c.slot)
		l.memory.held -= y.stream.Held()
		y.stream.Close()
		*y = layerState{}
		c.flags &^= layered
	}
}

// LayerState returns what the layer of the connection tells about it, nil without one: see
// ListenConfig.Layer. Package tlslayer makes something more useful of it.
func (c *Conn) LayerState() any {
	if c.flags&layered == 0 {
		return nil
	}
	return c.loop.layers.all.At(c.slot).stream.State()
}

// feedOpened is feed behind a layer. What the Protocol leaves stands right in front of the
// beginning of a record, so that both are kept as they are.
func (l *loop) feedOpened(c *Conn, b []byte, chunked bool) {
	y := l.layers.all.At(c.slot)
	held := y.stream.Held()
	from, to, end, err := y.stream.Open(b, int(y.plain))
	l.memory.held += y.stream.Held() - held
	y.plain = uint32(to - from)
	work, more := y.stream.Work()
	l.callback.work = work
	if chunked {
		c.in.Cut(len(b) - end)
	}
	left := to
	if from < to {
		left -= len(l.offer(c, b[from:to], end-to, chunked))
	} else {
		left = from
	}
	y.plain = uint32(to - left)
	if more && c.flags&paused == 0 && c.state == open {
		c.flags |= refeed | yielded
		c.touch()
	}
	c.keep(b[left:end], chunked)
	l.opened(c, y, err)
}

// opened acts on what Open has found besides data.
func (l *loop) opened(c *Conn, y *layerState, err error) {
	switch {
	case err == nil:
	case err == io.EOF:
		if c.flags&(finHeld|readClosed) == 0 {
			c.flags |= finHeld
			c.touch()
		}
	default:
		c.CloseWith(err)
	}
	if y.stream.Pending() && c.flags&blocked == 0 && c.state < ended {
		c.touch() // settle registers for the rest
		c.flush()
	}
}

// unconsumed returns how much of rest the Protocol has left. The rest of it belongs to a record
// that is not whole.
func (c *Conn) unconsumed(rest []byte) int {
	if c.flags&layered == 0 {
		return len(rest)
	}
	return int(c.loop.layers.all.At(c.slot).plain)
}

// streamClosed is called when the peer's FIN was read, or what the layer has instead.
func (l *loop) streamClosed(c *Conn) {
	y := l.layers.all.At(c.slot)
	rest := 0
	if c.in != nil {
		rest = c.in.Len() - int(y.plain)
	}
	if err := y.stream.ReadClosed(rest); err != nil {
		c.CloseWith(err)
	}
}

// flushSealed is flush behind a layer.
func (c *Conn) flushSealed() {
	l := c.loop
	y := l.layers.all.At(c.slot)
	for took := 0; c.out.Len() > 0 || y.stream.Pending(); {
		var b []byte
		queued := y.sealed > 0
		if queued {
			b, _ = c.out.Head()
			b = b[:min(len(b), int(y.sealed))]
		} else if b = l.seal(c, y); len(b) == 0 {
			c.out.Abandon(&l.memory.pool) // the layer has ended: what is left cannot be sent
			break
		}
		n, err := l.sockets.Write(int(c.fd), b)
		l.stats.Writes++
		l.stats.BytesWritten += uint64(n)
		if l.traffic != nil {
			l.countTraffic(c, 0, n)
		}
		if queued {
			c.out.Discard(&l.memory.pool, n)
			y.sealed -= uint32(n)
		} else if n < len(b) {
			c.out.Prepend(&l.memory.pool, b[n:])
			y.sealed = uint32(len(b) - n)
		}
		if err != nil && err != syscall.EAGAIN {
			c.fail(err)
			return
		}
		if c.state == closing {
			c.progress()
		}
		took += n
		if err != nil || n < len(b) || took >= flushTurn && c.out.Len() > 0 {
			c.out.Park(&l.memory.pool)
			c.block(took > 0)
			return
		}
	}
	c.flags &^= blocked
	c.out.Release(&l.memory.pool)
}

// seal takes up to a cork of plaintext from the queue and returns it sealed, in memory of the loop.
// The last of it goes together with the layer's last record.
func (l *loop) seal(c *Conn, y *layerState) []byte {
	if n := y.stream.SealedLen(buffer.CorkSize) + layerEnd; cap(l.layers.sealed) < n {
		l.layers.sealed = make([]byte, 0, n)
	}
	b := y.stream.Seal(l.layers.sealed[:0], nil)
	for left := buffer.CorkSize; left > 0 && c.out.Len() > 0; {
		head, only := c.out.Head()
		head = head[:min(len(head), left)]
		if len(head) < gatherSmall && !only {
			head = l.gatherPlain(c)
			head = head[:min(len(head), left)]
		}
		if cap(b)-len(b) < y.stream.SealedLen(len(head)) {
			break
		}
		if len(head) > 0 {
			b = y.stream.Seal(b, head)
		}
		left -= len(head)
		c.out.Discard(&l.memory.pool, len(head))
	}
	if c.out.Len() == 0 && c.flags&(writeClosed|finSent) == writeClosed && c.state < ended {
		b = y.stream.SealEnd(b) // nothing if it was sealed before: see sendFin
	}
	return b
}

// gatherSmall is the size below which messages that are shared are copied, to go together in a
// record.
const gatherSmall = 4 << 10

// gatherPlain copies the beginning of the queue, as much as belongs in one record.
func (l *loop) gatherPlain(c *Conn) []byte {
	b := l.memory.scratch[:0]
	v := c.out.Vector(l.memory.vector[:0], layerContent)
	for _, chunk := range v {
		n := min(len(chunk), layerContent-len(b))
		if b = append(b, chunk[:n]...); len(b) == layerContent {
			break
		}
	}
	clear(v)
	return b
}

// sealEnd sends the last record of the layer if it has not gone with the last data, and reports
// whether the FIN may follow.
func (l *loop) sealEnd(c *Conn) bool {
	y := l.layers.all.At(c.slot)
	b := y.stream.SealEnd(l.layers.sealed[:0])
	if len(b) == 0 {
		return true
	}
	c.out.Append(&l.memory.pool, b, len(b))
	y.sealed = uint32(len(b))
	c.flush()
	return c.out.Len() == 0 && c.state < ended
}
