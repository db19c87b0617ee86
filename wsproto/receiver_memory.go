package wsproto

// leastRoom is the smallest size of what Room returns, unless less is missing.
const leastRoom = 16 << 10

// Room returns memory for the next bytes of the current data frame. Reading them into its
// beginning, and giving just those to Next, saves a copy. Room is empty if no frame is under way,
// or if messages are delivered in pieces. It is valid until the next call of a method.
func (s *Receiver) Room() []byte {
	if s.state&inFrame == 0 || s.config.Stream || s.message == nil {
		return nil
	}
	least := min(s.left, leastRoom)
	s.message = s.message.room(int(least), min(s.left-least, ahead*uint64(len(s.message.b))))
	b := s.message.b
	return b[len(b):min(uint64(cap(b)), uint64(len(b))+s.left)]
}

// Held returns how many bytes of memory the Receiver holds beside itself for a message that is not
// whole, or that the last event has lent out: its buffers, with what they cost besides their bytes,
// and a decompressor. The windows of context takeover are not included: see Deflate.WindowBytes.
func (s *Receiver) Held() int {
	if s.message == nil {
		return 0
	}
	return s.message.cost()
}

// Compressed reports whether the message of the last event was compressed, or the current one is.
func (s *Receiver) Compressed() bool { return s.state&compressed != 0 }

// maxReused is the size of the largest buffer that the end of a connection leaves to others.
const maxReused = 64 << 10

// forgetLarge leaves the bytes of a large buffer to the garbage collector.
func (m *buffer) forgetLarge() {
	if cap(m.b) > maxReused {
		m.b = nil
	}
}

// Release gives back the memory that the Receiver owns, at the end of the connection. A large
// buffer goes to the garbage collector: where many connections are closed because memory is short,
// a pool would keep what they held.
func (s *Receiver) Release() {
	if m := s.message; m != nil {
		m.forgetLarge()
		if m.held != nil {
			m.held.forgetLarge()
		}
	}
	s.drop()
	s.window = nil
	s.state = finished
}

// Disown leaves the payload of the last event to the caller, for as long as it likes, unless it is
// a part of what Next was given, or a piece of a compressed message that goes on.
func (s *Receiver) Disown() {
	switch {
	case s.state&lentOut == 0:
	case s.message.held != nil:
		s.message.held = nil
		s.takeBack()
	default:
		s.state &^= lentOut
		s.message = nil
	}
}

// takeBack takes back the memory that the last event has lent out.
func (s *Receiver) takeBack() {
	s.state &^= lentOut
	if s.opcode == 0 {
		s.drop()
	} else { // the first piece of a message that goes on
		s.message.release()
	}
}

// drop gives back the buffer of the current message.
func (s *Receiver) drop() {
	if s.message != nil {
		putBuffer(s.message)
		s.message = nil
	}
}
