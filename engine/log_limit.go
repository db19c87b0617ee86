package engine

import "time"

// logLimit keeps frequent events from filling the log. The zero value allows the first message.
type logLimit struct {
	begun bool
	last  time.Duration
}

// allow reports whether a message may be logged now: the first, and each that follows the last one
// by at least every.
func (ll *logLimit) allow(now, every time.Duration) bool {
	if ll.begun && now-ll.last < every {
		return false
	}
	ll.begun, ll.last = true, now
	return true
}
