package engine

// Handle refers to a connection. It is for other goroutines: every method may be called from any of
// them. A Handle is 8 bytes, comparable, and may be copied and kept. After the connection has
// closed, its methods return ErrClosed, or ErrHandedOver, which wraps it, if another process has
// the connection now; they never reach another connection. A Handle that is kept retains 112 bytes
// of the closed connection and, after the end of its engine, a few KiB of that.
//
// Calls by one goroutine, or by several under the same lock, through the handles of one loop take
// effect in their order. The zero Handle is closed.
type Handle struct{ c *Conn }

// Send writes b to the connection. It copies b before it returns. A nil error means that the write
// was queued for the loop; it is lost if the connection closes first. The error is ErrClosed if the
// connection is closed, and ErrBusy if too many bytes are waiting for its loop (Config.MaxPosted).
func (h Handle) Send(b []byte) error {
	if err := h.err(); err != nil {
		return err
	}
	n := newTaskFor(sendTask, len(b))
	n.Value.conn = h.c
	return h.c.loop.pushBytes(n, b)
}

// Post calls f on the connection's loop, unless the connection is closed by then. The error is
// ErrClosed if it is closed already.
func (h Handle) Post(f func(*Conn)) error {
	if err := checkFunc("post", "f", f == nil); err != nil {
		return err
	}
	if err := h.err(); err != nil {
		return err
	}
	n := newTask(postTask)
	n.Value.conn = h.c
	n.Value.post = f
	return h.c.loop.push(n)
}

// PostBytes calls the method Posted of the connection's Protocol with kind and b, on its loop. The
// meaning of kind is up to the caller and the Protocol. Unlike Post it needs no closure. PostBytes
// copies b before it returns. Its errors are those of Send. A Protocol that is not a PostReceiver
// does not get the bytes.
func (h Handle) PostBytes(kind uint32, b []byte) error {
	if err := h.err(); err != nil {
		return err
	}
	n := newTaskFor(bytesTask, len(b))
	n.Value.conn = h.c
	n.Value.kind = kind
	return h.c.loop.pushBytes(n, b)
}

// Close closes the connection in order, after what was sent before: see Conn.Close. The error is
// ErrClosed if it is closed already.
func (h Handle) Close() error {
	if err := h.err(); err != nil {
		return err
	}
	n := newTask(closeTask)
	n.Value.conn = h.c
	return h.c.loop.push(n)
}

// Closed reports whether the connection is closed. It may close just after Closed has returned
// false.
func (h Handle) Closed() bool { return h.c == nil || h.c.fate.Load() != 0 }

// err returns why nothing reaches the connection any more, nil if it is not closed.
func (h Handle) err() error {
	switch {
	case !h.Closed():
		return nil
	case h.c != nil && h.c.fate.Load() == isHandedOver:
		return ErrHandedOver
	}
	return ErrClosed
}

// Loop returns the number of the connection's loop, as Conn.Loop does; -1 for the zero Handle.
func (h Handle) Loop() int {
	if h.c == nil {
		return -1
	}
	return h.c.loop.index
}
