package wsproto

import (
	"math"

	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// Compressor compresses and inflates messages. Package deflate makes one.
type Compressor = compress.Compressor

// Config is what the Receivers and Senders of a service share. It must not be changed while one of
// them lives, except for Stream, if there is only one Receiver and it is not in a message.
type Config struct {
	// Role is the role of this end.
	Role Role
	// Limits are the limits of messages. A Receiver needs no defaults filled in, but checks faster
	// if they are.
	Limits
	// Stream delivers messages of more than MaxWhole bytes piece by piece, as they come: see
	// EventPiece and EventLast. Then MaxMessage and MaxFragments have no default.
	Stream bool
	// Compressor compresses and inflates messages where permessage-deflate is agreed on: see
	// deflate.New.
	Compressor Compressor
}

// maxMessage returns the limit of a message in bytes.
func (c *Config) maxMessage() uint64 {
	switch {
	case c.MaxMessage > 0:
		return uint64(c.MaxMessage)
	case c.MaxMessage < 0 || c.Stream:
		return math.MaxUint64
	}
	return defaultMaxMessage
}

// maxWhole returns the size up to which messages are put together where there is Stream.
func (c *Config) maxWhole() int {
	if c.MaxWhole == 0 {
		return defaultMaxWhole
	}
	return max(c.MaxWhole, 0)
}

func (c *Config) maxFragments() uint32 {
	switch {
	case c.MaxFragments > 0:
		return uint32(min(c.MaxFragments, math.MaxInt32))
	case c.MaxFragments < 0 || c.Stream:
		return math.MaxUint32
	}
	if limit := c.maxMessage(); limit < math.MaxUint64 {
		return uint32(max(defaultMaxFragments, min(limit/bytesPerFragment, math.MaxInt32)))
	}
	return defaultMaxFragments
}
