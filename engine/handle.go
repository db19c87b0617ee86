package engine

// Handle names a connection for other goroutines. It is 8 bytes, comparable, and may be copied, kept and used from any
// goroutine for as long as one likes: when the connection is closed its methods return ErrClosed, and they never reach
// another connection. A handle that is kept keeps 112 bytes of a closed connection in memory.
//
// What one goroutine asks for through handles of one loop is done in that order. The zero Handle is a closed one.
type Handle struct{ c *Conn }

// Send has b written to the connection; b is copied before Send returns. The error is ErrClosed if the connection was
// closed already, ErrBusy if too much waits for its loop; nil says that the loop will Write it, which is in vain if the
// connection closes before.
func (h Handle) Send(b []byte) error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(sendTask)
	n.Value.conn = h.c
	return h.c.loop.pushBytes(n, b)
}

// Post has f called on the connection's loop. If the connection is closed by then, f is not called.
func (h Handle) Post(f func(*Conn)) error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(postTask)
	n.Value.conn = h.c
	n.Value.post = f
	return h.c.loop.push(n)
}

// PostBytes has b given to the Posted method of the connection's Protocol, on its loop, together with kind, which means
// what the two of them agree on. It is Post without a closure to allocate; b is copied before PostBytes returns. A
// Protocol without that method drops it.
func (h Handle) PostBytes(kind uint32, b []byte) error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(bytesTask)
	n.Value.conn = h.c
	n.Value.kind = kind
	return h.c.loop.pushBytes(n, b)
}

// Close has the connection closed in order, behind what was sent before: see Conn.Close.
func (h Handle) Close() error {
	if h.Closed() {
		return ErrClosed
	}
	n := newTask(closeTask)
	n.Value.conn = h.c
	return h.c.loop.push(n)
}

// Closed says whether the connection is closed. False may be outdated when it is returned.
func (h Handle) Closed() bool { return h.c == nil || h.c.closed.Load() }

// Loop is the number of the connection's loop, as Conn.Loop; -1 for the zero Handle.
func (h Handle) Loop() int {
	if h.c == nil {
		return -1
	}
	return h.c.loop.index
}
