package engine

import "runtime/debug"

// caught ends the connection whose call panicked. A panic of our own code is none of a handler's: it goes on.
func (l *loop) caught() {
	if !l.callback.active {
		return
	}
	v := recover()
	if v == nil { // runtime.Goexit: this goroutine ends, and the loop needs another
		v = "runtime.Goexit"
		defer func() { go l.run() }()
	}
	c := l.callback.conn
	if l.callback.feeding != nil {
		l.countMessages()
	}
	l.callback.conn, l.callback.feeding, l.callback.active = nil, nil, false
	l.tasks.queue.Awake() // if it was in a poll that waited: else the loop could never wait again
	l.polling.skip = 0    // what the driver has not delivered yet comes without a call of Awake
	l.stats.Panics++
	reason := &PanicError{Value: v, Stack: debug.Stack()}
	if c == nil && (l.packets.receiving.conn != nil || l.packets.session != nil) {
		l.caughtPacket(reason)
		return
	}
	if c == nil {
		l.engine.config.Logger.Error("engine: panic in a posted function", "panic", v, "stack", string(reason.Stack))
		return
	}
	l.engine.config.Logger.Error("engine: panic in a handler", "panic", v, "stack", string(reason.Stack))
	switch c.state {
	case closed: // it was in Closed itself
	case open: // what it had written before goes out
		c.CloseWith(reason)
	default:
		c.end(reason)
	}
	c.mark()
}

// caughtPacket is caught for a datagram: peers that can make a handler panic must not be able to fill the log.
func (l *loop) caughtPacket(reason *PanicError) {
	if l.packets.panics.allow(l.now, packetPanics) {
		l.engine.config.Logger.Error("engine: panic in a datagram's handler", "panic", reason.Value, "stack", string(reason.Stack))
	}
	if s := l.packets.session; s != nil {
		l.packets.session = nil
		s.end(reason)
	}
}
