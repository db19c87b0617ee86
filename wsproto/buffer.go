package wsproto

import (
	"math/bits"
	"sync"
)

// A message that arrives in pieces is put together in a buffer from these pools, one for each power of two from 1 KiB to
// 1 MiB; larger ones are left to the garbage collector. Buffers grow with what has arrived: nothing is ever allocated
// because a header announced it.
const (
	minPooled = 10
	maxPooled = 20
)

var buffers [maxPooled - minPooled + 1]sync.Pool

type buffer struct {
	b []byte
	stream
}

// stream is what is known of a message that is delivered piece by piece.
type stream struct {
	taken, given uint64 // bytes that have come, and that were delivered: not the same if they are compressed
	flow         Inflow // nil: they are not
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
		m.stream = stream{}
		streams.Put(m)
		return
	}
	if k := class(cap(m.b)); k < len(buffers) && cap(m.b) == 1<<(minPooled+k) {
		m.b = m.b[:0]
		buffers[k].Put(m)
	}
}

// add appends b to m, which may be nil, and returns the buffer that holds both.
func (m *buffer) add(b []byte) *buffer {
	if m == nil {
		m = getBuffer(max(len(b), 1))
	} else if need := len(m.b) + len(b); need > cap(m.b) {
		grown := getBuffer(max(need, 2*cap(m.b)))
		grown.b = append(grown.b, m.b...)
		putBuffer(m)
		m = grown
	}
	m.b = append(m.b, b...)
	return m
}
