package engine

import (
	"sync/atomic"

	"github.com/myriadnet/myriad/engine/internal/buffer"
	"github.com/myriadnet/myriad/engine/internal/driver"
)

// inputSize is the size of the buffer that a loop reads into. Common message sizes are powers of
// two, plus a header.
const inputSize = 260 << 10

// memory is the buffers that a loop's connections share.
type memory struct {
	pool    buffer.Pool
	input   []byte   // what drivers read into
	scratch []byte   // for AvailableBuffer of a connection that cannot be written to now
	vector  [][]byte // for writev; cleared after use

	published int          // the pool's bytes that Engine.buffered includes
	visible   atomic.Int64 // the same, for other loops to read
	relieving atomic.Bool  // relieve is posted
}

// newMemory returns the buffers of a loop that reads at most turn bytes from a connection per turn.
func newMemory(turn int) memory {
	return memory{
		input:   make([]byte, min(inputSize, max(turn, 2*smallRest))),
		scratch: make([]byte, buffer.Room),
		vector:  make([][]byte, driver.MaxIovecs),
	}
}

// publish adds this loop's bytes to the engine's sum. If the sum exceeds Config.MaxBuffered, it
// makes the loops above their share reduce it.
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
			o.do(o.relieve) // an error means that the loop has ended
		}
	}
}

// overShare reports whether l holds more than an equal part of Config.MaxBuffered. When the sum
// exceeds the limit, at least one loop does.
func (l *loop) overShare() bool {
	return l.memory.visible.Load() > int64(l.config.MaxBuffered/len(l.engine.loops))
}

// relieve closes connections that hold large, old buffers until the sum is below the limit, or this
// loop is below its share.
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
