package engine

// Protocol serves one connection. The engine calls it only on the connection's loop, one call at a
// time: no call of a Protocol begins before the previous call on the same loop has returned.
//
// Feed gets the received bytes that are not consumed yet, in order, and returns how many it
// consumes now, 0 to len(src). The rest is offered again, with more bytes behind it. Feed may
// modify src in place (to unmask it, say), and the change stays visible when the rest is offered
// again. It must not keep src after it returns: the loop's connections share that memory. An error
// closes the connection: what was written before is flushed, and Closed gets the error.
//
// Closed is the last call, made exactly once, with the reason: nil after Close, when everything was
// delivered to the kernel and the peer's FIN was read; one of the errors of this package; Feed's
// error; or a *PanicError. If bytes that Write accepted were not sent, the reason is wrapped in an
// *UnsentError. The Conn accepts no more bytes by then, and the kernel may have forgotten the
// peer's address: see Conn.RemoteAddr.
//
// A Protocol may also implement ReadCloser, Drainer, Flusher, Expirer, Idler, Shutdowner,
// Recoverer, PostReceiver, Bufferer, Holder and Saver. The engine looks for these methods once,
// when the connection gets the Protocol; for Recoverer after a panic, for Holder when it is short
// of memory, and for Saver in a Handover.
type Protocol interface {
	Feed(src []byte) (n int, err error)
	Closed(err error)
}

// ReadCloser is implemented by a Protocol that goes on after the peer has closed its half.
type ReadCloser interface {
	// ReadClosed is called once, when the peer has sent its FIN and everything before it was fed. A
	// Protocol that Conn.SetProtocol sets after that gets the call when it is set.
	// The connection can still write, and stays open until Close; call CloseWith(ErrPeerClosed) if
	// Closed should get that reason and not nil. If the peer then resets it, or if the peer of a
	// unix socket closes it altogether, it ends with ErrReset (on macOS the latter needs a write).
	// Without this method the engine flushes the connection and closes it with ErrPeerClosed.
	ReadClosed()
}

// Drainer is implemented by a Protocol that produces more than the peer takes at once.
type Drainer interface {
	// Drained is called when the outbound queue was above the high watermark and has fallen to the
	// low one: see Config.HighWater and Conn.SetWatermarks.
	Drained()
}

// Flusher is implemented by a Protocol that holds output back while the peer takes nothing.
type Flusher interface {
	// Flushed is called when the kernel had refused part of the outbound queue and has now taken
	// all of it: when Conn.Pressure is Sent again.
	Flushed()
}

// Expirer is implemented by a Protocol that has something to send before a timeout closes its
// connection.
type Expirer interface {
	// Expired is called when the time set by Conn.SetTimeout has passed. What it writes is flushed;
	// then the connection is closed with ErrTimeout.
	Expired()
}

// Idler is implemented by a Protocol that decides what happens to an idle connection.
type Idler interface {
	// Idle is called when no byte has arrived for the idle timeout, and again after each further
	// period. What it writes is flushed. If it returns false, or without this method, the
	// connection is closed with ErrIdleTimeout.
	Idle() bool
}

// Shutdowner is implemented by a Protocol that has something to send before the engine closes its
// connection. A PacketProtocol and a SessionProtocol may implement it too.
type Shutdowner interface {
	// Shutdown is called once, when Engine.Shutdown begins, but not by Engine.Close. A connection
	// stays open after it: it should end soon, by CloseWith(ErrShutdown) or by a closing handshake.
	// (After Close, Closed gets nil.) Without this method the engine calls CloseWith(ErrShutdown).
	// A Protocol that SetProtocol sets later is told as well.
	//
	// A datagram socket is closed with ErrShutdown when its Shutdown and those of its sessions have
	// returned. What they write is sent if the kernel takes it at once.
	Shutdown()
}

// Recoverer is implemented by a Protocol that has something to send after a panic of its own,
// before the panic closes its connection.
type Recoverer interface {
	// Recovered is called when a panic in a call for an open connection was caught. What it writes
	// is flushed; then the connection is closed with reason. The Protocol may be in any state.
	// Recovered should call no user code: if it panics too, that is only counted and logged.
	Recovered(reason *PanicError)
}

// PostReceiver is implemented by a Protocol that other goroutines send bytes to.
type PostReceiver interface {
	// Posted gets what was given to Handle.PostBytes. b belongs to the engine again when Posted
	// returns.
	Posted(kind uint32, b []byte)
}

// Bufferer is implemented by a Protocol that knows how much input it expects, and may have memory
// for it.
type Bufferer interface {
	// InputBuffer returns where the loop reads to next: memory of the Protocol, or the first bytes
	// of shared, which belongs to the loop. An empty result means all of shared. It is called only
	// while Conn.SetGreedy is on and no bytes are unconsumed. Feed gets what was read, at the start
	// of the buffer; only what it does not consume is copied. InputBuffer must not call methods of
	// Conn but AddHeld.
	InputBuffer(shared []byte) []byte
}

// Holder is implemented by a Protocol that calls Conn.AddHeld.
type Holder interface {
	// Held returns how many bytes the Protocol holds now, as counted by AddHeld. It may leave out
	// what no connection should be closed for, since other limits bound it. It is asked when
	// Config.MaxBuffered is exceeded, to find the connections to close. It must not call methods of
	// Conn.
	Held() int
}

// The optional methods that a connection's Protocol has, as bits. They are looked for once, not for
// every event.
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
