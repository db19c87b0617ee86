package wsproto

import "math"

// Config is what the Receivers of a service share. It must not be changed while one of them lives.
type Config struct {
	// Role is this end's.
	Role Role
	// Stream has messages of more than MaxWhole bytes delivered piece by piece, as they come: see EventPiece and EventLast.
	Stream bool
	// MaxWhole is the size up to which they are put together all the same, and are an EventMessage: of a compressed message the
	// size that it is inflated to. It does not depend on how the input is split which one a message is.
	MaxWhole int
	// MaxMessage is the largest message that is accepted, in bytes. 0: no limit but the memory's.
	MaxMessage int
	// MaxFrame is the largest frame of a message that is accepted, in bytes. 0: MaxMessage is.
	MaxFrame int
	// MaxFragments is the largest number of frames that a message may come in. 0: 1,024, or one per 512 bytes of
	// MaxMessage if that is more; so an empty or tiny fragment cannot be repeated for ever. With Stream, 0 is no limit.
	MaxFragments int
	// Inflater inflates compressed messages, where permessage-deflate is agreed on (Receiver.Deflate): that of package
	// wsproto/deflate.
	Inflater Inflater
	// MaxRatio is how many times larger than what it was made from a compressed message may become, at any point above 4 MiB.
	// DEFLATE itself ends at 1,032. 0: 200.
	MaxRatio int
}

func (c *Config) maxFragments() uint32 {
	if c.MaxFragments > 0 {
		return uint32(min(c.MaxFragments, math.MaxInt32))
	}
	if c.Stream {
		return math.MaxUint32
	}
	return uint32(max(1024, min(c.MaxMessage/512, math.MaxInt32)))
}

func (c *Config) ratio() uint64 {
	if c.MaxRatio <= 0 {
		return defaultRatio
	}
	return uint64(c.MaxRatio)
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
