// Package compress declares what package wsproto needs of a compression, and package
// wsproto/deflate implements. So wsproto links no compression unless a program asks for it.
package compress

// Compressor compresses and inflates messages of permessage-deflate (RFC 7692). Any goroutines may
// use it at the same time.
type Compressor interface {
	// Threshold returns the size from which messages are compressed, in bytes.
	Threshold() int
	// MaxRatio returns how many times larger than its compressed form a message may become.
	MaxRatio() uint64
	// Append compresses message and appends the result to dst as it is on the wire. The result may
	// refer to window, the end of the messages before; a peer with a window of 2 to the power of
	// bits bytes can inflate it.
	Append(dst, message, window []byte, bits uint8) []byte
	// Inflate inflates src, which may refer to window, and gives the result piece by piece to to.
	// An error is to's, or a *wsproto.ProtocolError.
	Inflate(src, window []byte, to Sink) error
	// Stream is Inflate for a message that arrives piece by piece. It keeps nothing of window.
	Stream(window []byte) Flow
}

// Tail ends a block of DEFLATE that is flushed. On the wire it follows each piece of a message but
// the last (RFC 7692 section 7.2.1), and Append leaves it out.
const Tail = "\x00\x00\xff\xff"

// Sink takes an inflated message.
type Sink interface {
	// Inflated takes the next piece, which it must not keep. taken is how much of src the result
	// was made from so far. An error ends the message.
	Inflated(b []byte, taken int) error
	// Output returns what was taken so far.
	Output() []byte
}

// Flow inflates one message as it arrives.
type Flow interface {
	// Next takes what it can of src, the message's next bytes, and returns how many that was and
	// the next piece of the result, which is valid until the next call. An empty piece means that
	// it has taken all of src. last says that the message ends with src: when all of that is taken,
	// the piece is the last one. An error is a *wsproto.ProtocolError.
	Next(src []byte, last bool) (n int, piece []byte, err error)
	// Release gives back the memory it works with, at the end of the message or before.
	Release()
}
