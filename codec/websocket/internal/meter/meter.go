// Package meter limits the rate of control frames.
package meter

import (
	"fmt"
	"time"

	"github.com/myriadnet/myriad/wsproto"
)

// Meter limits the rate of a peer's control frames, by a bucket that holds as many as are allowed
// in ten seconds. It keeps when the bucket will be empty, in units of 100 us of the caller's clock,
// in one word that wraps around after five days.
type Meter uint32

const (
	unit  = 100 * time.Microsecond
	burst = uint32(10 * time.Second / unit)
)

// New returns an empty bucket at the time now.
func New(now time.Duration) Meter { return Meter(now / unit) }

// Level returns how full the bucket is at the time now, for SetLevel.
func (m *Meter) Level(now time.Duration) uint32 {
	if level := uint32(*m - New(now)); level <= burst {
		return level
	}
	return 0 // it has been empty for some time
}

// SetLevel makes the bucket as full as another one was at another time. A level of more than any
// has is that of an empty bucket.
func (m *Meter) SetLevel(now time.Duration, level uint32) { *m = New(now) + Meter(level) }

// Count counts a control frame at the time now. It returns a *wsproto.ProtocolError if there are
// too many for the given rate per second, of which more than 10,000 counts as that. There is no
// limit if rate is not positive.
func (m *Meter) Count(now time.Duration, rate int) error {
	if rate <= 0 {
		return nil
	}
	at := New(now)
	level := uint32(*m - at) // as a time: how long until the bucket is empty
	if level > burst {
		level = 0 // it has been empty for some time
	}
	level += max(uint32(time.Second/unit)/uint32(rate), 1)
	*m = at + Meter(level)
	if level > burst {
		return &wsproto.ProtocolError{Code: wsproto.PolicyViolation, Section: "7.4.1",
			Text: fmt.Sprintf("over the limit of %d control frames per second", rate)}
	}
	return nil
}
