package engine

import (
	"encoding/binary"

	"github.com/myriadnet/myriad/engine/internal/layer"
	"github.com/myriadnet/myriad/engine/internal/wheel"
	"github.com/myriadnet/myriad/engine/saved"
)

// moved is the state of a connection as it travels. Its fields follow one another; the Protocol's
// state comes first, behind its length in lengthSize bytes. The layer's comes last: it has keys,
// and nothing that grows after it leaves a copy of them.
type moved struct {
	proto    []byte // what Save has written
	listener uint32 // 1 + the number of the Listener that counts it; 0: none
	flags    flags  // some of movedFlags
	idle     wheel.Tick
	silent   wheel.Tick // since the last byte arrived
	deadline wheel.Tick // 1 + the rest of SetTimeout; 0: none
	water    watermarks // if ownWater
	header   []byte     // if proxied
	in, out  []byte
	owned    []byte // a copy of out; nil: none
	plain    uint32 // of in, if layered
	sealed   uint32 // of out, if layered
	layer    []byte // if layered
}

// movedFlags are the flags that a connection keeps. Whether the peer has closed its half, the
// kernel tells the new process again.
const movedFlags = paused | throttled | writeClosed | finSent | blocked | greedy | ownWater | proxied | layered

// anySize limits what a state has of the engine's own: sizes and times.
const anySize = 1<<31 - 1

// lengthSize is the size of a length that is written before what it belongs to.
const lengthSize = 4

// appendMoved appends what is beside the Protocol's state, which stands behind dst[begin:] already.
func (c *Conn) appendMoved(dst []byte, begin int) ([]byte, error) {
	l := c.loop
	binary.BigEndian.PutUint32(dst[begin:], uint32(len(dst)-begin-lengthSize))
	dst = binary.AppendUvarint(dst, uint64(l.departing.to.number(c)))
	dst = binary.AppendUvarint(dst, uint64(c.flags&movedFlags))
	deadline := wheel.Tick(0)
	if c.times.deadline != 0 {
		deadline = 1
		if before(l.tick, c.times.deadline) {
			deadline += c.times.deadline - l.tick
		}
	}
	for _, t := range [...]wheel.Tick{c.times.idle, l.tick - c.times.active, deadline} {
		dst = binary.AppendUvarint(dst, uint64(t))
	}
	if c.flags&ownWater != 0 {
		w := c.water()
		dst = binary.AppendUvarint(dst, uint64(min(w.high, anySize)))
		dst = binary.AppendUvarint(dst, uint64(min(w.low, anySize)))
	}
	if c.flags&proxied != 0 {
		dst = saved.AppendBytes(dst, l.headers.of(c))
	}
	var in []byte
	if c.in != nil {
		in = c.in.Bytes()
	}
	dst = saved.AppendBytes(dst, in)
	dst = binary.AppendUvarint(dst, uint64(c.out.Len()))
	dst = c.out.AppendTo(dst)
	if c.flags&layered == 0 {
		return dst, nil
	}
	y := l.layers.all.At(c.slot)
	s, ok := y.stream.(layer.Saver)
	if !ok {
		return dst, saved.Unmovable(obstacleLayer)
	}
	dst = binary.AppendUvarint(dst, uint64(y.plain))
	dst = binary.AppendUvarint(dst, uint64(y.sealed))
	return s.Save(dst)
}

// readMoved reads a state. What it returns refers to b.
func readMoved(b []byte) (m moved, err error) {
	r := saved.NewReader(b)
	size := r.Take(lengthSize)
	if len(size) < lengthSize {
		return m, saved.ErrMalformed
	}
	m.proto = r.Take(int(binary.BigEndian.Uint32(size)))
	m.listener = uint32(r.Uvarint(anySize))
	m.flags = flags(r.Uvarint(uint64(movedFlags)))
	r.Check(m.flags&^movedFlags == 0)
	m.idle = wheel.Tick(r.Uvarint(anySize))
	m.silent = wheel.Tick(r.Uvarint(1<<32 - 1))
	m.deadline = wheel.Tick(r.Uvarint(anySize))
	if m.flags&ownWater != 0 {
		m.water.high = int(r.Uvarint(anySize))
		m.water.low = int(r.Uvarint(anySize))
	}
	if m.flags&proxied != 0 {
		m.header = r.Bytes(anySize)
	}
	m.in = r.Bytes(anySize)
	m.out = r.Bytes(anySize)
	if m.flags&layered != 0 {
		m.plain = uint32(r.Uvarint(uint64(len(m.in))))
		m.sealed = uint32(r.Uvarint(uint64(len(m.out))))
		m.layer = r.Rest()
	} else {
		r.Check(len(r.Rest()) == 0)
	}
	return m, r.Err()
}
