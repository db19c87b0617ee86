package engine

import (
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
)

// inputSize is the size of the buffer that a loop reads into: messages have sizes that are powers of two, and headers.
const inputSize = 260 << 10

// memory is the buffers that the loop's connections share.
type memory struct {
	pool    buffer.Pool
	input   []byte   // what a driver reads into
	scratch []byte   // AvailableBuffer of a connection that cannot be written to now
	vector  [][]byte // of writev, cleared after use

	published int          // the pool's bytes, as publish has told the engine
	visible   atomic.Int64 // the same, for other loops
	relieving atomic.Bool  // relieve is posted
}

// newMemory returns the buffers of a loop that reads at most turn bytes of a connection in a turn.
func newMemory(turn int) memory {
	return memory{
		input:   make([]byte, min(inputSize, max(turn, 2*smallRest))),
		scratch: make([]byte, buffer.Room),
		vector:  make([][]byte, driver.MaxIovecs),
	}
}

// publish tells the engine how much this loop's connections hold, and has it brought down where it is too much.
func (l *loop) publish(n int) {
	e, most := l.engine, int64(l.config.MaxBuffered)
	total := e.buffered.Add(int64(n - l.memory.published))
	l.memory.published = n
	l.memory.visible.Store(int64(n))
	if most < 0 || total <= most || l.ended {
		return
	}
	for _, o := range e.loops {
		if o.overShare() && !o.memory.relieving.Swap(true) {
			o.do(o.relieve) // an error says that it has ended
		}
	}
}

// overShare says whether l holds more than an equal part of the budget. When the sum is too much, one loop does.
func (l *loop) overShare() bool {
	return l.memory.visible.Load() > int64(l.config.MaxBuffered/len(l.engine.loops))
}

// relieve closes the holders of large and old buffers until all is well, or it is others' turn.
func (l *loop) relieve() {
	l.memory.relieving.Store(false)
	for range tasksTurn {
		if l.engine.buffered.Load() <= int64(l.config.MaxBuffered) || !l.overShare() {
			return
		}
		t := driver.Token(l.memory.pool.Holder())
		c := l.conn(t)
		if c == nil {
			return
		}
		c.end(&limitError{ErrBufferLimit, l.config.MaxBuffered})
		l.settle(c)
		l.publish(l.memory.pool.Bytes())
	}
}
