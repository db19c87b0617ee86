package websocket

// Waiters returns how many calls of Handle.SendWait wait for the peer, on the loop.
func Waiters(c *Conn) (n int) {
	if c.rare != nil {
		for w := c.rare.waiters; w != nil; w = w.next {
			n++
		}
	}
	return n
}

// HandleOf returns the Handle of a Stream.
func HandleOf(s *Stream) Handle { return s.handle }

// Unread returns how many bytes a Stream holds.
func Unread(s *Stream) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.Len()
}
