package wsproto

import (
	"math/bits"
	"sync"

	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

const (
	// the smallest and largest buffers that are pooled, as powers of two: 1 KiB to 1 MiB
	minPooled = 10
	maxPooled = 20
)

// ahead bounds the room for what a header has announced: so many times what has arrived.
const ahead = 3

// buffers has a pool for each power of two. A message that arrives in parts is put together in a
// buffer, which grows with what has arrived: nothing is allocated because a header announced it.
var buffers [maxPooled - minPooled + 1]sync.Pool

// buffer holds a message that has not arrived whole.
type buffer struct {
	b []byte
	stream
}

// stream is the state of a message that is delivered in pieces.
type stream struct {
	taken uint64        // bytes that have arrived
	given uint64        // bytes made from them, which differ if the message is compressed
	flow  compress.Flow // nil: the message is not compressed
	// bytes that were not delivered, since the message may turn out to be a small one; or those
	// that the message is inflated from in steps
	held *buffer
}

const (
	bufferCost = 64        // bytes of memory that a buffer takes beside b
	flowCost   = 112 << 10 // and a decompressor, with its buffers and its stack
)

// cost returns the memory that the buffer takes.
func (m *buffer) cost() int {
	n := bufferCost + cap(m.b)
	if m.flow != nil {
		n += flowCost
	}
	if m.held != nil {
		n += m.held.cost()
	}
	return n
}

// hold puts b behind the bytes that are held, and returns all of them.
func (m *stream) hold(b []byte) []byte {
	m.held = m.held.add(b, 0)
	return m.held.b
}

// end gives back everything.
func (m *stream) end() {
	if m.flow != nil {
		m.flow.Release()
	}
	m.release()
	*m = stream{}
}

// release gives back the buffer of the bytes that are held.
func (m *stream) release() {
	if m.held != nil {
		putBuffer(m.held)
		m.held = nil
	}
}

// class returns the index in buffers of the smallest buffer that holds n bytes.
func class(n int) int { return max(bits.Len(uint(n-1)), minPooled) - minPooled }

func getBuffer(n int) *buffer {
	k := class(n)
	if k >= len(buffers) {
		return &buffer{b: make([]byte, 0, n)}
	}
	if m, ok := buffers[k].Get().(*buffer); ok {
		return m
	}
	return &buffer{b: make([]byte, 0, 1<<(minPooled+k))}
}

// streams has buffers without bytes.
var streams = sync.Pool{New: func() any { return new(buffer) }}

func putBuffer(m *buffer) {
	m.end()
	if cap(m.b) == 0 {
		streams.Put(m)
		return
	}
	if k := class(cap(m.b)); k < len(buffers) && cap(m.b) == 1<<(minPooled+k) {
		m.b = m.b[:0]
		buffers[k].Put(m)
	}
}

// room returns a buffer with the bytes of m into which n more fit: m itself, or a larger one that
// has room for extra more bytes. m may be nil.
func (m *buffer) room(n int, extra uint64) *buffer {
	if m == nil {
		return getBuffer(max(n+int(extra), 1))
	}
	need := len(m.b) + n
	if need <= cap(m.b) {
		return m
	}
	grown := getBuffer(max(need+int(extra), 2*cap(m.b)))
	grown.b = append(grown.b, m.b...)
	grown.stream, m.stream = m.stream, stream{}
	putBuffer(m)
	return grown
}

// add appends b to m, which may be nil, and returns the buffer that holds both. b may lie in it
// already, at the right place. left is how many bytes of the frame are still to arrive.
func (m *buffer) add(b []byte, left uint64) *buffer {
	n := 0
	if m != nil {
		n = len(m.b)
	}
	m = m.room(len(b), min(left, ahead*uint64(n+len(b))))
	if m.b = m.b[:n+len(b)]; len(b) > 0 && &m.b[n] != &b[0] {
		copy(m.b[n:], b)
	}
	return m
}
