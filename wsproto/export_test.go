package wsproto

// For the reference of the fuzz tests.

func (d Deflate) ReceiveBits(role Role) uint8    { return d.receiveBits(role) }
func (d Deflate) ReceiveTakeover(role Role) bool { return d.receiveTakeover(role) }
