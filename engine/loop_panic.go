package engine

import (
	"runtime/debug"
	"time"
)

// caught is deferred: it ends the connection whose call panicked. A panic of the engine's own code
// goes on.
func (l *loop) caught() {
	if !l.callback.active {
		return
	}
	v := recover()
	if v == nil { // or panic(nil) with GODEBUG=panicnil=1
		v = "runtime.Goexit"
	}
	l.handled = true
	c := l.callback.conn
	if f := l.callback.feeding; f != nil {
		l.interrupted(f)
	}
	l.callback.conn, l.callback.active = nil, false
	// If the panic was in a poll that waited, the loop could not sleep again otherwise.
	l.tasks.queue.Awake()
	l.polling.skip = 0 // the driver delivers the rest of the batch without calling Awake
	l.stats.Panics++
	reason, _ := v.(*PanicError) // of user code on another goroutine
	if reason == nil {
		reason = &PanicError{Value: v, Stack: debug.Stack()}
	}
	switch {
	case c != nil:
		l.logPanic(handlerPanic, reason)
	case l.packets.receiving.calling || l.packets.session != nil:
		l.packets.receiving.calling = false
		l.logPanic(datagramPanic, reason)
		if s := l.packets.session; s != nil {
			l.packets.session = nil
			s.end(reason)
		}
		return
	default:
		l.logPanic(postedPanic, reason)
		return
	}
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

// panicKind is what panicked. Each kind has a log rate of its own.
type panicKind uint8

const (
	handlerPanic panicKind = iota
	datagramPanic
	postedPanic
	panicKinds
)

var panicNames = [panicKinds]string{"a handler", "a datagram's handler", "a posted function"}

// panicLog is the least time between two messages about panics of a kind, per loop. Peers may be
// able to cause panics, and must not fill the log. Stats counts them all.
const panicLog = time.Second

func (l *loop) logPanic(k panicKind, reason *PanicError) {
	if unlogged, ok := l.panicLogs[k].allow(l.now, panicLog); ok {
		l.config.Logger.Error("engine: panic in "+panicNames[k], "panic", reason.Value, "unlogged", unlogged,
			"stack", string(reason.Stack))
	}
}

// recovered lets the Protocol of c send its last words.
func (l *loop) recovered(c *Conn, reason *PanicError) {
	p, ok := c.proto.(Recoverer)
	if !ok {
		return
	}
	returned := false
	defer func() {
		l.exit()
		v := recover()
		if !returned { // with runtime.Goexit the rest of caught is not run
			c.CloseWith(reason)
			c.mark()
			if v == nil {
				v = "runtime.Goexit"
			}
		}
		if v != nil {
			l.stats.Panics++
			l.logPanic(handlerPanic, &PanicError{Value: v, Stack: debug.Stack()})
		}
	}()
	l.enter(c)
	p.Recovered(reason)
	returned = true
}
