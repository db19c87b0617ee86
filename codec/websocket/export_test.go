package websocket

// HTTP2Begin is what a client of HTTP/2 sends first: the preface, and SETTINGS without any.
const HTTP2Begin = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// Waiters returns how many calls of Handle.SendWait wait for the peer, on the loop.
func Waiters(c *Conn) (n int) {
	if c.rare != nil {
		for w := c.rare.waiters; w != nil; w = w.to {
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

// QueueWaiters makes n calls of Handle.SendWait wait and gives them up again, on the loop.
func QueueWaiters(c *Conn, n int) {
	all := make([]waiter, n)
	for i := range all {
		c.queue(&all[i])
	}
	for i := range all {
		c.dequeue(&all[n-1-i])
	}
}

// Used returns how many handshakes, WebSockets and connections of the Handler s counts.
func Used(s *Server) (handshakes, open, web int) {
	return s.handshakes.Used(), s.open.Used(), s.web.open.Used()
}

// Front returns the Server that has the connections of m until their path is known.
func Front(m *Mux) *Server { return m.prepare() }

// Endings returns how many functions wait for the end of connections.
func Endings() int64 { return ends.count.Load() }

// EndExcess ends a pause for a Rate, on the loop, as its timer does.
func EndExcess(c *Conn) { c.endExcess() }
