package wsproto

import (
	"math/bits"
	"sync"

	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// A message that arrives in pieces is put together in a buffer from these pools, one for each power of two from 1 KiB to
// 1 MiB; larger ones are left to the garbage collector. Buffers grow with what has arrived: nothing is ever allocated
// because a header announced it.
const (
	minPooled = 10
	maxPooled = 20
)

// ahead is how many times of what has arrived a buffer may have room for what a header announced.
const ahead = 3

var buffers [maxPooled - minPooled + 1]sync.Pool

type buffer struct {
	b []byte
	stream
}

// stream is what is known of a message that is delivered piece by piece.
type stream struct {
	taken, given uint64        // bytes that have come, and what has become of them: not the same if they are compressed
	flow         compress.Flow // nil: they are not
	held         *buffer       // what was not delivered, since the message may turn out to be a small one
}

// hold puts b behind what is held, and returns all of it.
func (m *stream) hold(b []byte) []byte {
	m.held = m.held.add(b, 0)
	return m.held.b
}

// release gives back what is held.
func (m *stream) release() {
	if m.held != nil {
		putBuffer(m.held)
		m.held = nil
	}
}

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

// streams are buffers without bytes.
var streams = sync.Pool{New: func() any { return new(buffer) }}

func putBuffer(m *buffer) {
	if cap(m.b) == 0 {
		if m.flow != nil {
			m.flow.Release()
		}
		m.release()
		m.stream = stream{}
		streams.Put(m)
		return
	}
	if k := class(cap(m.b)); k < len(buffers) && cap(m.b) == 1<<(minPooled+k) {
		m.b = m.b[:0]
		buffers[k].Put(m)
	}
}

// room is m, which may be nil, or a larger buffer with the same bytes, such that n more fit. If it has to be larger, there is room
// for extra more bytes.
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
	putBuffer(m)
	return grown
}

// add appends b to m, which may be nil, and returns the buffer that holds both. b may lie there already. left is how many bytes of
// the frame are still to come.
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
