package wsproto

// For the reference of the fuzz tests.

func (d Deflate) ReceiveBits(role Role) uint8    { return d.receiveBits(role) }
func (d Deflate) ReceiveTakeover(role Role) bool { return d.receiveTakeover(role) }

// WindowMemory returns how many bytes the windows of a connection take now.
func WindowMemory(r *Receiver, s *Sender) int { return cap(r.window.data) + cap(s.window.data) }
