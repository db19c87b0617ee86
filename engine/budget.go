package engine

import "github.com/myriadnet/myriad/engine/internal/driver"

// This file bounds what all connections' buffers take together: Config.MaxBuffered.

// publish tells the engine how much this loop's connections hold, and has it brought down where it is too much.
func (l *loop) publish(n int) {
	e, most := l.engine, int64(l.config.MaxBuffered)
	total := e.buffered.Add(int64(n - l.buffered))
	l.buffered = n
	l.share.Store(int64(n))
	if most < 0 || total <= most || l.ended {
		return
	}
	for _, o := range e.loops {
		if o.overShare() && !o.relieving.Swap(true) {
			o.do(o.relieve) // an error says that it has ended
		}
	}
}

// overShare says whether l holds more than an equal part of the budget. When the sum is too much, one loop does.
func (l *loop) overShare() bool {
	return l.share.Load() > int64(l.config.MaxBuffered/len(l.engine.loops))
}

// relieve closes the holders of large and old buffers until all is well, or it is others' turn.
func (l *loop) relieve() {
	l.relieving.Store(false)
	for range tasksTurn {
		if l.engine.buffered.Load() <= int64(l.config.MaxBuffered) || !l.overShare() {
			return
		}
		t := driver.Token(l.pool.Holder())
		c := l.conn(t)
		if c == nil {
			return
		}
		c.end(&limitError{ErrBufferLimit, l.config.MaxBuffered})
		l.settle(c)
		l.publish(l.pool.Bytes())
	}
}
