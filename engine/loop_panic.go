package engine

import "runtime/debug"

// caught is deferred: it ends the connection whose call panicked. A panic of the engine's own code
// goes on.
func (l *loop) caught() {
	if !l.callback.active {
		return
	}
	v := recover()
	if v == nil { // runtime.Goexit: this goroutine ends, and the loop needs a new one
		v = "runtime.Goexit"
		defer func() { go l.run() }()
	}
	c := l.callback.conn
	if l.callback.feeding != nil {
		l.countMessages()
	}
	l.callback.conn, l.callback.feeding, l.callback.active = nil, nil, false
	// If the panic was in a poll that waited, the loop could not sleep again otherwise.
	l.tasks.queue.Awake()
	l.polling.skip = 0 // the driver delivers the rest of the batch without calling Awake
	l.stats.Panics++
	reason := &PanicError{Value: v, Stack: debug.Stack()}
	if c == nil && (l.packets.receiving.conn != nil || l.packets.session != nil) {
		l.caughtPacket(reason)
		return
	}
	if c == nil {
		l.config.Logger.Error("engine: panic in a posted function", "panic", v, "stack", string(reason.Stack))
		return
	}
	l.config.Logger.Error("engine: panic in a handler", "panic", v, "stack", string(reason.Stack))
	switch c.state {
	case closed: // the panic was in Closed
	case open: // flush what it wrote
		l.recovered(c, reason)
		c.CloseWith(reason)
	default:
		c.end(reason)
	}
	c.mark()
}

// caughtPacket is caught for a datagram. Peers may be able to cause panics, so they must not fill
// the log.
func (l *loop) caughtPacket(reason *PanicError) {
	if l.packets.panics.allow(l.now, packetPanics) {
		l.config.Logger.Error("engine: panic in a datagram's handler",
			"panic", reason.Value, "stack", string(reason.Stack))
	}
	if s := l.packets.session; s != nil {
		l.packets.session = nil
		s.end(reason)
	}
}

// recovered lets the Protocol of c send its last words.
func (l *loop) recovered(c *Conn, reason *PanicError) {
	p, ok := c.proto.(Recoverer)
	if !ok {
		return
	}
	defer func() {
		l.exit()
		if v := recover(); v != nil {
			l.stats.Panics++
			l.config.Logger.Error("engine: panic in Recovered", "panic", v, "stack", string(debug.Stack()))
		}
	}()
	l.enter(c)
	p.Recovered(reason)
}
