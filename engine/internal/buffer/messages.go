package buffer

// message is bytes that the chunks of several queues share.
type message struct {
	b    []byte
	refs int      // chunks
	next *message // in messages.free
}

// messageCost is the memory that a message takes besides its bytes: 24, or 48 on 64 bits.
const messageCost = 24 << (^uint(0) >> 63)

// messages counts the memory of shared messages.
type messages struct {
	bytes int
	free  *message // to be used again
	kept  int      // in free
	// recent are those that were shared last: a message goes to one queue after the other, or a few
	// take turns. An older one that is shared again counts again.
	recent [4]*message
	turn   int // which of recent is replaced next
}

// take returns the message that b is.
func (s *messages) take(b []byte) *message {
	for _, m := range s.recent {
		if m != nil && len(m.b) == len(b) && Same(m.b, b) {
			m.refs++
			return m
		}
	}
	m := s.free
	if m == nil {
		m = new(message)
	} else {
		s.free, m.next = m.next, nil
		s.kept--
	}
	m.b, m.refs = b, 1
	s.bytes += messageCost + len(b)
	s.recent[s.turn] = m
	s.turn = (s.turn + 1) % len(s.recent)
	return m
}

// release is called for each chunk that was given m. The last one leaves it to the garbage
// collector.
func (s *messages) release(m *message) {
	if m.refs--; m.refs > 0 {
		return
	}
	s.bytes -= messageCost + len(m.b)
	for i := range s.recent {
		if s.recent[i] == m {
			s.recent[i] = nil
		}
	}
	m.b = nil
	if s.kept < keepBare {
		m.next, s.free = s.free, m
		s.kept++
	}
}
