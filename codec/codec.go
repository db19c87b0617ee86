// Package codec cuts a byte stream into messages, and frames messages for a stream.
//
// A Codec says where a message ends; a Framer applies it to a connection. Framer has the methods of engine.Protocol, so
// an accept function may return one:
//
//	eng.Listen("tcp", ":7000", func(c *engine.Conn) engine.Protocol {
//		return codec.NewFramer(c, codec.Line{}, func(f *codec.Framer, line []byte) error { return f.Send(line) })
//	})
//
// Package codectest checks a codec of one's own.
package codec

import "fmt"

// Codec is a framing. The codecs of this package are values without state, which any number of connections may share.
type Codec interface {
	// Decode looks for the first message in src. If it is whole, msg is the part of src that is the message, and n > 0
	// is how many bytes it takes in the stream. If more is needed, n is 0, and next is what to give as scanned when src
	// is offered again with more behind it: how much of src has been looked at. scanned is 0 for new input. So input
	// that comes byte by byte is looked at once and not again and again.
	//
	// An error says that the stream can never be decoded; a *LimitError as soon as that is known.
	Decode(src []byte, scanned int) (msg []byte, n, next int, err error)

	// Append appends the frame of msg to dst. It refuses, with dst as it was, what Decode would not give back as msg.
	Append(dst, msg []byte) ([]byte, error)
}

// LimitError is the error for a message over its codec's limit.
type LimitError struct {
	Limit int // in bytes
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("codec: message over the limit of %d bytes", e.Limit)
}

// FormatError is the error for input that breaks a codec's format, and for a message that the format cannot hold.
type FormatError struct {
	Text string
}

func (e *FormatError) Error() string { return "codec: " + e.Text }

// DefaultMax is the limit of a codec whose Max is 0: 1 MiB.
const DefaultMax = 1 << 20

func limit(maximum int) int {
	if maximum <= 0 {
		return DefaultMax
	}
	return maximum
}

// Conn is the connection below a Framer. *engine.Conn is one.
type Conn interface {
	// Write accepts all of b or nothing.
	Write(b []byte) (int, error)
	// AvailableBuffer returns an empty slice to be appended to and passed to an immediately succeeding Write.
	AvailableBuffer() []byte
	// Yield is called after each message; true says that the connection wants no further one now.
	Yield() bool
}

// Framer delivers the messages of one connection, and sends some. Like the connection it belongs to a loop. It is 64 bytes.
type Framer struct {
	conn    Conn
	codec   Codec
	handle  func(f *Framer, msg []byte) error
	closed  func(f *Framer, err error)
	scanned int
}

// NewFramer makes a Framer. handle gets every message, in place: msg is valid until it returns, and may be modified. An
// error of handle closes the connection with that error as its reason, after what was sent is flushed.
func NewFramer(c Conn, codec Codec, handle func(f *Framer, msg []byte) error) *Framer {
	return &Framer{conn: c, codec: codec, handle: handle}
}

// OnClosed sets a function to be called with the reason when the connection has ended, and returns f.
func (f *Framer) OnClosed(closed func(f *Framer, err error)) *Framer {
	f.closed = closed
	return f
}

// Conn is the connection below.
func (f *Framer) Conn() Conn { return f.conn }

// Send frames msg and writes it. The error is the codec's, if it cannot frame msg, or the connection's. msg belongs to
// the caller again when Send returns.
func (f *Framer) Send(msg []byte) error {
	b, err := f.codec.Append(f.conn.AvailableBuffer(), msg)
	if err != nil {
		return err
	}
	_, err = f.conn.Write(b)
	return err
}

// Feed implements engine.Protocol.
func (f *Framer) Feed(src []byte) (n int, err error) {
	for n < len(src) {
		msg, k, next, err := f.codec.Decode(src[n:], f.scanned)
		if err != nil {
			return n, err
		}
		if k == 0 {
			f.scanned = next
			return n, nil
		}
		f.scanned = 0
		n += k
		if err := f.handle(f, msg); err != nil {
			return n, err
		}
		if f.conn.Yield() {
			return n, nil
		}
	}
	return n, nil
}

// Closed implements engine.Protocol.
func (f *Framer) Closed(err error) {
	if f.closed != nil {
		f.closed(f, err)
	}
}
