package wsproto

import (
	"math"

	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// Role is an end of a connection: a client masks what it sends, and a server must not.
type Role uint8

// The roles.
const (
	Server Role = iota
	Client
)

// Compressor compresses and inflates messages of permessage-deflate: see deflate.New.
type Compressor = compress.Compressor

// Config is what the Receivers and Senders of a service share. It must not be changed while one of
// them is in use, except for Stream, if there is only one Receiver and it is not in a message.
type Config struct {
	// Role is the role of this end.
	Role Role
	// Limits are the limits of messages. A Receiver is a little faster with WithDefaults.
	Limits
	// Stream delivers messages of more than MaxWhole bytes in pieces, as they arrive: see
	// EventPiece and EventLast. MaxMessage and MaxFragments then have no default.
	Stream bool
	// InflateStep is how many bytes of a compressed message Next inflates at a time, about. It also
	// takes no more than 2 KiB of compressed bytes then, since an attacker can make each of them
	// expensive. So large messages can share a processor with others: see Receiver.Inflating. Zero
	// means that messages are inflated at once.
	InflateStep int
	// Compressor is needed by connections that have agreed on compression.
	Compressor Compressor
}

// maxMessage returns the size of the largest message that is accepted.
func (c *Config) maxMessage() uint64 {
	switch {
	case c.MaxMessage > 0:
		return uint64(c.MaxMessage)
	case c.MaxMessage < 0 || c.Stream:
		return math.MaxUint64
	}
	return defaultMaxMessage
}

// maxWhole returns the size of the largest message that is put together if Stream is set.
func (c *Config) maxWhole() int {
	if c.MaxWhole == 0 {
		return defaultMaxWhole
	}
	return max(c.MaxWhole, 0)
}

// maxFragments returns the largest number of frames that a message may come in.
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
