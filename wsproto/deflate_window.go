package wsproto

// Window is the end of what was sent or received, to which later messages refer (context takeover,
// RFC 7692 section 7.2). It has no memory before the first message.
type Window struct {
	data []byte
	bits uint8
}

// NewWindow returns an empty window of 2 to the power of bits bytes.
func NewWindow(bits uint8) *Window { return &Window{bits: bits} }

// Size returns how many bytes the window holds when it is full.
func (w *Window) Size() int { return 1 << w.bits }

// Bytes returns what the window holds.
func (w *Window) Bytes() []byte { return w.data }

// Add moves the window to the end of message, which follows what it holds.
func (w *Window) Add(message []byte) {
	if len(message) == 0 {
		return
	}
	size := 1 << w.bits
	if w.data == nil {
		w.data = make([]byte, 0, size)
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

// Drop forgets what the window holds. A sender may do that at any time, but a receiver must not.
func (w *Window) Drop() { w.data = nil }
