package engine

import "time"

// Observer has functions that are called as things happen, for tracing and for your own metrics.
// Stats already counts most things; use an Observer only for what it does not count. Loops call
// these functions, several at the same time, and wait for them. Each may be nil. A panic in one is
// logged.
type Observer struct {
	// Opened is called for a connection that was accepted, dialled or adopted, and has its
	// Protocol. With a layer, such as TLS, that is after the handshake, and with a PROXY header
	// behind it. One whose handshake fails is not told to the Observer at all.
	Opened func(c *Conn)
	// Closed is called after the Protocol's Closed, with the same reason.
	Closed func(c *Conn, reason error)
	// Worked is called with the length of each stretch of a loop's work: see LoopStats.Lags.
	Worked func(loop int, took time.Duration)
}

func (l *loop) observeOpened(c *Conn) {
	if f := l.config.Observer.Opened; f != nil {
		// What c has written must go out. It is listed for the case of runtime.Goexit. A panic is
		// caught here, so that adopt goes on.
		c.mark()
		defer l.caught()
		l.enter(nil)
		f(c)
		l.exit()
	}
}

// announce tells the Observer of a connection that has waited, unless it waits for a handshake now.
func (l *loop) announce(c *Conn) {
	switch c.proto.(type) {
	case *securing, *awaiting:
	default:
		c.flags &^= unannounced
		l.observeOpened(c)
	}
}

// observeClosed tells the Observer of the end of a connection that it was told of, once.
func (l *loop) observeClosed(c *Conn) {
	if f := l.config.Observer.Closed; f != nil && c.flags&(connecting|unannounced) == 0 {
		c.flags |= unannounced
		l.enter(c) // with c: a panic must not keep the descriptor from being closed
		f(c, c.err)
		l.exit()
	}
}
