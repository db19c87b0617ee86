package wsproto

import (
	"fmt"
	"time"
)

// Meter limits the rate of a peer's control frames, by a bucket that holds as many as are allowed
// in ten seconds. It keeps when the bucket will be empty, in units of 100 us of the caller's clock,
// in one word that wraps around after five days.
type Meter uint32

const (
	meterUnit  = 100 * time.Microsecond
	meterBurst = uint32(10 * time.Second / meterUnit)
)

// NewMeter returns an empty bucket at the time now.
func NewMeter(now time.Duration) Meter { return Meter(now / meterUnit) }

// Count counts a control frame at the time now. It returns a *ProtocolError if there are too many
// for the given rate per second. There is no limit if rate is not positive.
func (m *Meter) Count(now time.Duration, rate int) error {
	if rate <= 0 {
		return nil
	}
	at := NewMeter(now)
	level := uint32(*m - at) // as a time: how long until the bucket is empty
	if level > meterBurst {
		level = 0 // it has been empty for some time
	}
	level += uint32(time.Second/meterUnit) / uint32(rate)
	*m = at + Meter(level)
	if level > meterBurst {
		return &ProtocolError{PolicyViolation, "7.4.1",
			fmt.Sprintf("over the limit of %d control frames per second", rate)}
	}
	return nil
}
