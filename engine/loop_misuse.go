package engine

// This file makes wrong use fail loudly: a method of a Conn that is called by a goroutine other than its loop's.
//
// To know the goroutine would cost every call more than it does. What costs nothing is to ask whether the loop runs at all:
// while it sleeps, nobody can be its goroutine.

// checkTurn panics if the loop is not in a turn. What every call of a method that changes something comes through calls it.
func (l *loop) checkTurn() {
	if !l.callback.inTurn.Load() {
		misused()
	}
}

//go:noinline
func misused() {
	panic("engine: a method of a Conn or PacketConn was called by a goroutine other than its loop's: use Handle (or PacketListener)")
}
