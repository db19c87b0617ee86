package tlslayer

import "sync/atomic"

// Stats counts the handshakes of a Layer. Those of an engine's loops, with those that end before
// their time for other reasons, are in engine.LoopStats. The JSON form is for expvar.
type Stats struct {
	Begun     uint64 `json:"begun"` // handshakes
	Succeeded uint64 `json:"succeeded"`
	TimedOut  uint64 `json:"timed_out"`  // failed with ErrTimeout; silent clients are in Failed
	Busy      uint64 `json:"busy"`       // failed with ErrBusy
	Failed    uint64 `json:"failed"`     // failed for another reason
	Open      uint64 `json:"open"`       // are in progress
	TLS12     uint64 `json:"tls12"`      // succeeded with TLS 1.2 or older
	Resumed   uint64 `json:"resumed"`    // succeeded with a ticket
	Standard  uint64 `json:"standard"`   // connections whose records crypto/tls does
	HeldBytes uint64 `json:"held_bytes"` // that handshakes in progress have received
}

type counters struct{ begins, succeeded, timedOut, busy, failed, tls12, resumed, standard atomic.Uint64 }

// Stats returns the counters.
func (l *Layer) Stats() Stats {
	c := &l.stats
	s := Stats{
		Succeeded: c.succeeded.Load(),
		TimedOut:  c.timedOut.Load(),
		Busy:      c.busy.Load(),
		Failed:    c.failed.Load(),
		TLS12:     c.tls12.Load(),
		Resumed:   c.resumed.Load(),
		Standard:  c.standard.Load(),
		HeldBytes: uint64(l.held.bytes()),
	}
	s.Begun = c.begins.Load() // last, so that Open is not negative
	s.Open = s.Begun - s.Succeeded - s.TimedOut - s.Busy - s.Failed
	return s
}

func (c *counters) begun() { c.begins.Add(1) }

// ended counts how h has ended. h.mu is held, so it calls no methods of the error: that may be the
// user's.
func (c *counters) ended(h *handshake) {
	switch err := h.err; {
	case err == nil:
		c.succeeded.Add(1)
		if h.info.Version < 0x0304 {
			c.tls12.Add(1)
		}
		if h.info.DidResume {
			c.resumed.Add(1)
		}
		if _, ok := h.stream.(*standard); ok {
			c.standard.Add(1)
		}
	case err == ErrTimeout:
		c.timedOut.Add(1)
	case isBusy(err):
		c.busy.Add(1)
	default:
		c.failed.Add(1)
	}
}

func isBusy(err error) bool {
	_, because := err.(busy)
	return because || err == ErrBusy
}
