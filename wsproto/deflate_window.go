package wsproto

// window is the end of what was sent or received, to which later messages refer (context takeover,
// RFC 7692 section 7.2). It has no memory before the first message. One that was loaded has no more
// than it holds before the next message: many are loaded at once, and most do not hold much.
type window struct {
	data []byte
	bits uint8
}

// newWindow returns an empty window of 2 to the power of bits bytes.
func newWindow(bits uint8) *window { return &window{bits: bits} }

// bytes returns what the window holds.
func (w *window) bytes() []byte { return w.data }

// load makes an empty window hold data.
func (w *window) load(data []byte) { w.data = append([]byte(nil), data...) }

// add moves the window to the end of message, which follows what it holds.
func (w *window) add(message []byte) {
	if len(message) == 0 {
		return
	}
	size := 1 << w.bits
	if cap(w.data) < size {
		w.data = append(make([]byte, 0, size), w.data...)
	}
	if len(message) >= size {
		w.data = append(w.data[:0], message[len(message)-size:]...)
		return
	}
	if over := len(w.data) + len(message) - size; over > 0 {
		w.data = w.data[:copy(w.data, w.data[over:])]
	}
	w.data = append(w.data, message...)
}

// drop forgets what the window holds. A sender may do that at any time, but a receiver must not.
func (w *window) drop() { w.data = nil }
