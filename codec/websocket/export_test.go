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
