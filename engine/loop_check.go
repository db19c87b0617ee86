package engine

// checkTurn panics if the loop is not in a turn. Every method of a Conn or PacketConn that changes
// something calls it, directly or by touch: a call by another goroutine corrupts the loop, and must
// not go unnoticed.
//
// Finding out which goroutine calls would cost more than most of these methods do. Whether the loop
// is running at all costs a load: while it waits, no goroutine may be calling.
func (l *loop) checkTurn() {
	if !l.callback.inTurn.Load() {
		misused()
	}
}

//go:noinline
func misused() {
	panic("engine: method of a Conn or PacketConn (or of what wraps it) called by a goroutine other than " +
		"its loop's: use Handle or PacketListener")
}
