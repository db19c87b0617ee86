package wsproto

// Window is the end of what was sent or received, for messages that refer to those before (context takeover, RFC 7692
// section 7.2). Its memory, 2 to the power of the window's bits, comes with the first message.
type Window struct {
	data []byte
	bits uint8
}

// NewWindow makes an empty window of 8 to 15 bits.
func NewWindow(bits uint8) *Window { return &Window{bits: bits} }

// Size is how many bytes it holds when it is full.
func (w *Window) Size() int { return 1 << w.bits }

// Bytes are what the window holds.
func (w *Window) Bytes() []byte { return w.data }

// Add moves the window to behind message.
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

// Drop forgets what the window holds. The sender may do that at any time; the receiver never, as long as the connection lives.
func (w *Window) Drop() { w.data = nil }
