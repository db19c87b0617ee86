package wsproto

import "math"

// Config is what the Receivers of a service share. It must not be changed while one of them lives.
type Config struct {
	// Role is the role of this end.
	Role Role
	// Limits are the limits of messages. A Receiver needs no defaults filled in, but checks faster
	// if they are.
	Limits
	// Stream delivers messages of more than MaxWhole bytes piece by piece, as they come: see
	// EventPiece and EventLast. Then MaxMessage and MaxFragments have no default.
	Stream bool
	// Inflater inflates compressed messages, where permessage-deflate is agreed on (see
	// Receiver.Deflate): that of package wsproto/deflate.
	Inflater Inflater
	// MaxRatio is how many times larger than its compressed form a message may become, at any point
	// above 4 MiB. DEFLATE itself ends at 1,032. Default: 200; negative: no limit.
	MaxRatio int
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

func (c *Config) ratio() uint64 {
	switch {
	case c.MaxRatio > 0:
		return uint64(c.MaxRatio)
	case c.MaxRatio < 0:
		return math.MaxUint64
	}
	return defaultRatio
}

// Inflater inflates messages of permessage-deflate.
type Inflater interface {
	// Inflate inflates one message, src, which may refer to what is in window, and gives the result piece by piece to to. The
	// error is to's, or a *ProtocolError.
	Inflate(src, window []byte, to InflateSink) error
	// Stream is Inflate for a message that comes piece by piece. It keeps nothing of window.
	Stream(window []byte) Inflow
}

// InflateSink takes an inflated message.
type InflateSink interface {
	// Inflated takes the next piece, which it must not keep; taken is how much of src all that was made from. An error ends it: a
	// limit was reached, or the text is no UTF-8.
	Inflated(b []byte, taken int) error
	// Output is what was taken so far.
	Output() []byte
}

// Inflow inflates one message as it comes.
type Inflow interface {
	// Next takes what it can of the message's next bytes, src, and returns how many that was and the next piece of the result,
	// which is valid until the next call. With an empty piece it has taken all of src. last says that the message ends with
	// src; when all of that is taken, the piece is the last one. An error is a *ProtocolError.
	Next(src []byte, last bool) (n int, piece []byte, err error)
	// Release gives back what it works with, at the end of the message or before.
	Release()
}
