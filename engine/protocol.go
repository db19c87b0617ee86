package engine

// Protocol is one connection's protocol. The engine calls it on the connection's loop only, one call at a time: no call
// of a Protocol ever begins while another one on the same loop has not returned.
//
// Feed gets every received byte that it has not consumed yet, in order, and returns how many it consumes now; the rest is
// offered again with more behind it. n is 0 to len(src). Feed may modify src in place (unmasking), which stays visible
// when the rest is offered again, and must not keep it after returning: the loop's connections share that memory.
// An error closes the connection: what was written before is flushed, and Closed gets the error.
//
// Closed is the last call that a Protocol gets, exactly once, with the reason: nil after Close with everything
// delivered to the kernel and the peer's FIN seen, or one of the errors of this package, or Feed's error, or a
// *PanicError. If bytes that Write had accepted were not sent, the reason is wrapped in an *UnsentError.
// The Conn takes no more bytes then, and the kernel may have forgotten the peer's address: see Conn.RemoteAddr.
//
// A Protocol may have any of the methods of ReadCloser, Drainer, Flusher, Expirer, Idler, Shutdowner, Receiver and Bufferer,
// too. They are looked for once, when the connection gets the Protocol.
type Protocol interface {
	Feed(src []byte) (n int, err error)
	Closed(err error)
}

// ReadCloser is a Protocol that wants to go on after the peer's half-close.
type ReadCloser interface {
	// ReadClosed is called once, when the peer has sent its FIN and everything before it was fed. The connection can
	// still write, and stays until Close. Without this method the engine closes the connection, after flushing, with
	// ErrPeerClosed.
	ReadClosed()
}

// Drainer is a Protocol that produces more than the peer takes at once.
type Drainer interface {
	// Drained is called when the outbound queue, which had grown above Config.HighWater, has fallen to Config.LowWater.
	Drained()
}

// Flusher is a Protocol that holds something back while the peer takes nothing.
type Flusher interface {
	// Flushed is called when the kernel has taken all of an outbound queue of which it had refused a part before: when
	// Conn.Pressure is Sent again.
	Flushed()
}

// Expirer is a Protocol that has something to say before it is closed because its time is up.
type Expirer interface {
	// Expired is called when the time given by Conn.SetTimeout has come. What it writes is flushed; then the connection is
	// closed with ErrTimeout.
	Expired()
}

// Idler is a Protocol that decides what happens when the idle timeout has passed.
type Idler interface {
	// Idle is called when no byte has arrived for the idle timeout, and again each time that another such period has
	// passed. False closes the connection with ErrIdleTimeout, as it is without this method.
	Idle() bool
}

// Shutdowner is a Protocol that has something to say before the engine closes its connection.
type Shutdowner interface {
	// Shutdown is called once, when Engine.Shutdown begins. It should bring the connection to its end soon, by Close or
	// by a closing handshake; without this method the engine calls Close.
	Shutdown()
}

// Receiver is a Protocol that other goroutines give bytes to.
type PostReceiver interface {
	// Posted gets what Handle.PostBytes was given. b belongs to the engine again when Posted returns.
	Posted(kind uint32, b []byte)
}

// Bufferer is a Protocol that knows how much it expects, and may have memory for it.
type Bufferer interface {
	// InputBuffer returns where the loop shall read to next, while Conn.SetGreedy is in force: memory of the Protocol's, or the
	// beginning of shared, which is the loop's, as long as what is expected. If it is empty, all of shared is read to. Feed is given
	// what was read, at the beginning of it; only what it does not consume is copied. InputBuffer is not asked while there are
	// unconsumed bytes. No method of Conn may be called.
	InputBuffer(shared []byte) []byte
}

// The optional methods that a connection's Protocol has, as bits: asked for once, and not by every event.
const (
	hasReadClosed = 1 << iota
	hasDrained
	hasFlushed
	hasExpired
	hasIdle
	hasShutdown
	hasPosted
	hasInputBuffer
)

func abilities(p Protocol) (a uint8) {
	if _, ok := p.(ReadCloser); ok {
		a |= hasReadClosed
	}
	if _, ok := p.(Drainer); ok {
		a |= hasDrained
	}
	if _, ok := p.(Flusher); ok {
		a |= hasFlushed
	}
	if _, ok := p.(Expirer); ok {
		a |= hasExpired
	}
	if _, ok := p.(Idler); ok {
		a |= hasIdle
	}
	if _, ok := p.(Shutdowner); ok {
		a |= hasShutdown
	}
	if _, ok := p.(PostReceiver); ok {
		a |= hasPosted
	}
	if _, ok := p.(Bufferer); ok {
		a |= hasInputBuffer
	}
	return a
}
