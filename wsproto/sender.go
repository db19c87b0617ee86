package wsproto

import (
	"fmt"
	"sync"

	"github.com/myriadnet/myriad/wsproto/internal/compress"
)

// Sender makes the frames that one end of a connection sends: it masks, fragments and compresses.
// It does no I/O: the caller sends what Append or a Frame gives, all of it and in the same order.
//
// While it compresses without context takeover and is not between the pieces of a message, a Sender
// has no state that changes: then any number of connections and goroutines may share it.
type Sender struct {
	config *Config
	window *window // what compressed messages may refer to; nil: nothing yet
	bits   uint8   // of the window that it compresses with; 0: permessage-deflate is not agreed on
	state  senderState
}

// senderState is part of what Save appends.
type senderState uint8

const (
	masking  senderState = 1 << iota // it is a client
	takeover                         // the window stays from message to message
	amid                             // the last piece of a message was not its end
	packing                          // that message is compressed
	deflates                         // permessage-deflate is agreed on
)

// NewSender returns a Sender. d is what the opening handshake agreed on; it is nil if that is no
// compression, otherwise c must have a Compressor.
func NewSender(c *Config, d *Deflate) Sender {
	s := Sender{config: c}
	if c.Role == Client {
		s.state = masking
	}
	if d == nil {
		return s
	}
	s.bits = d.sendBits(c.Role)
	s.state |= deflates
	if d.sendTakeover(c.Role) {
		s.state |= takeover
		s.window = newWindow(s.bits)
	}
	return s
}

// Append appends a whole message to dst, compressed if that was agreed on and makes it smaller, or
// a control frame. It panics between the pieces of a message, unless op is that of a control frame,
// and where Frame does. It does not check that a text is valid UTF-8.
func (s *Sender) Append(dst []byte, op Opcode, data []byte) []byte {
	// the usual cases: no compression, nothing under way
	if s.state&^masking == 0 && (op == Text || op == Binary) {
		if s.state == 0 {
			return AppendFrame(dst, op, data)
		}
		return AppendMasked(dst, op, newKey(), data)
	}
	if s.state&amid != 0 && !op.IsControl() {
		panic("wsproto: a message cannot begin before the last piece of another")
	}
	f := s.Frame(op, data, true)
	return f.Append(dst)
}

// Frame returns a frame to be sent: a piece of a message, or a control frame, which may be sent
// between pieces. The first piece begins a message with op, which has no meaning for the others;
// last ends it. Frame panics if op is not Text or Binary where a message begins, and if a control
// frame has more than MaxControl bytes.
//
// Whether a message is compressed is decided by its first piece: if that was agreed on and the
// piece is not below the Compressor's threshold. A message of one piece is sent as it is if
// compression does not make it smaller.
//
// With context takeover later messages refer to compressed ones. If one is not sent after all, Drop
// must be called; if a part of a frame or only some pieces of a message were sent, the connection
// must end.
func (s *Sender) Frame(op Opcode, data []byte, last bool) Frame { return s.frame(op, data, last, true) }

// Plain is Frame without compression, for a whole message or the first piece of one. Use it for
// data that must not tell anything by its length (see deflate.Compression), or that is compressed
// already.
func (s *Sender) Plain(op Opcode, data []byte, last bool) Frame {
	return s.frame(op, data, last, false)
}

func (s *Sender) frame(op Opcode, data []byte, last, compress bool) Frame {
	f := Frame{Header: Header{Fin: last, Opcode: op}, Payload: data}
	switch {
	case op.IsControl():
		if len(data) > MaxControl || op > Pong {
			panic(fmt.Sprintf("wsproto: no %v frame of %d bytes can be sent", op, len(data)))
		}
		f.Header.Fin = true
	case s.state&amid != 0:
		f.Header.Opcode = Continuation
		if s.state&packing != 0 {
			s.pack(&f)
		}
		s.passed(last)
	case op != Text && op != Binary:
		panic(fmt.Sprintf("wsproto: a message is text or binary, not %v", op))
	default:
		if compress && s.compresses(len(data)) {
			s.pack(&f)
		}
		if !last {
			s.state |= amid
		}
	}
	f.Header.Length = uint64(len(f.Payload))
	if s.state&masking != 0 {
		f.Header.Masked, f.Header.Key = true, newKey()
	}
	return f
}

// compresses reports whether a message is compressed whose first piece has n bytes.
func (s *Sender) compresses(n int) bool {
	return s.state&deflates != 0 && n >= s.config.Compressor.Threshold()
}

// passed notes that another piece of a message was sent.
func (s *Sender) passed(last bool) {
	if last {
		s.state &^= amid | packing
		if s.state&takeover == 0 {
			s.window = nil
		}
	}
}

// pack compresses the payload of f. A piece of a message ends where all of it can be inflated. What
// is not sent compressed is in nobody's window.
func (s *Sender) pack(f *Frame) {
	f.scratch = scratch.Get().(*[]byte)
	var before []byte
	if s.window != nil {
		before = s.window.bytes()
	}
	out := s.config.Compressor.Append((*f.scratch)[:0], f.Payload, before, s.bits)
	*f.scratch = out
	whole := f.Header.Fin && s.state&packing == 0
	if whole && len(out) >= len(f.Payload) {
		f.Release()
		return
	}
	if s.window == nil && !whole {
		s.window = newWindow(s.bits)
	}
	if s.window != nil {
		s.window.add(f.Payload)
	}
	if !f.Header.Fin {
		out = append(out, compress.Tail...)
		*f.scratch = out
	}
	if f.Header.Opcode != Continuation {
		f.Header.RSV = RSV1
	}
	if !whole {
		s.state |= packing
	}
	f.Payload = out
}

// Drop makes the next message refer to none before it. It must be called if a compressed message
// was not sent, and may be called at any time to free the window, as long as no message is sent
// piece by piece.
func (s *Sender) Drop() {
	if s.window != nil {
		s.window.drop()
	}
}

// scratch holds what messages are compressed to.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// keptScratch is the size of the largest slice that goes back to scratch.
const keptScratch = 64 << 10
