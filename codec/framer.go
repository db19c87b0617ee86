package codec

// Conn is the connection of a Framer. *engine.Conn is one.
type Conn interface {
	// Write accepts all of b or nothing.
	Write(b []byte) (int, error)
	// AvailableBuffer returns an empty slice. The caller appends to it and passes it to Write at
	// once.
	AvailableBuffer() []byte
	// Yield is called after each message. It reports whether the connection wants no more for now,
	// or for good if its Protocol was replaced.
	Yield() bool
}

// Framer delivers the messages of one connection, and sends messages to its peer. Like the
// connection it belongs to a loop: call its methods in handle, or in a function that runs on that
// loop, such as one passed to engine.Handle.Post. A Framer is 64 bytes.
//
// engine.Handle.Send and engine.Broadcast take whole frames, which Codec.Append makes.
//
// A struct that embeds a *Framer can add the optional methods of an engine.Protocol, such as
// ReadClosed, Idle and Shutdown; the accept function then returns the struct.
//
// Feed and Closed are for the engine. A test can call them instead of an engine.
type Framer struct {
	conn    Conn
	codec   Codec
	handle  func(f *Framer, msg []byte) error
	closed  func(f *Framer, err error)
	scanned int
}

// NewFramer returns a Framer that calls handle for every message. msg is valid until handle
// returns, which may modify it. If handle returns an error, the connection is closed with that
// error as the reason, after everything that was sent is flushed. If handle replaces the Framer
// (engine.Conn.SetProtocol), what follows msg is for the new Protocol.
//
// On an engine a frame must also fit into engine.Config.MaxInbound, which is 2 MiB by default: set
// that for a codec with a larger limit.
func NewFramer(c Conn, codec Codec, handle func(f *Framer, msg []byte) error) *Framer {
	if codec == nil || handle == nil {
		panic("codec: NewFramer: codec or handle is nil")
	}
	return &Framer{conn: c, codec: codec, handle: handle}
}

// OnClosed sets a function that is called with the reason when the connection has ended. It returns
// f.
func (f *Framer) OnClosed(closed func(f *Framer, err error)) *Framer {
	f.closed = closed
	return f
}

// Conn returns the connection that NewFramer got. On an engine, f.Conn().(*engine.Conn) has the
// other methods.
func (f *Framer) Conn() Conn { return f.conn }

// Send writes the frame of msg to the connection. It fails if the codec has no frame for msg, or if
// the connection accepts no more. The caller can reuse msg when Send returns.
func (f *Framer) Send(msg []byte) error {
	b, err := f.codec.Append(f.conn.AvailableBuffer(), msg)
	if err != nil {
		return err
	}
	_, err = f.conn.Write(b)
	return err
}

// Feed implements engine.Protocol: it decodes src and calls handle.
func (f *Framer) Feed(src []byte) (n int, err error) {
	for n < len(src) {
		msg, size, next, err := f.codec.Decode(src[n:], f.scanned)
		if err != nil {
			return n, err
		}
		if size == 0 {
			f.scanned = next
			return n, nil
		}
		f.scanned = 0
		n += size
		if err := f.handle(f, msg); err != nil {
			return n, err
		}
		if f.conn.Yield() {
			return n, nil
		}
	}
	return n, nil
}

// Closed implements engine.Protocol: it calls the function of OnClosed.
func (f *Framer) Closed(err error) {
	if f.closed != nil {
		f.closed(f, err)
	}
}
