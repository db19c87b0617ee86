package engine

import "time"

// logLimit keeps frequent events from filling the log. The zero value allows the first message.
type logLimit struct {
	begun    bool
	last     time.Duration
	unlogged int // since the last message
}

// allow reports whether a message may be logged now: the first, and each that follows the last one
// by at least every. unlogged is how many were not allowed since.
func (ll *logLimit) allow(now, every time.Duration) (unlogged int, ok bool) {
	if ll.begun && now-ll.last < every {
		ll.unlogged++
		return 0, false
	}
	unlogged = ll.unlogged
	*ll = logLimit{begun: true, last: now}
	return unlogged, true
}
