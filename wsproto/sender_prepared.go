package wsproto

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// Prepared is a message that a server encodes once, and compresses once for each size of window
// that its receivers have, to send it on any number of connections. It is immutable, and any
// goroutine may use it.
type Prepared struct {
	op    Opcode
	plain []byte // the frame
	data  []byte // the end of plain
	mu    sync.Mutex
	// compressed frames by window bits; nil: not made yet
	variants [MaxWindowBits + 1]atomic.Pointer[[]byte]
}

// Prepare encodes a message. data is copied.
func Prepare(op Opcode, data []byte) *Prepared {
	p := &Prepared{op: op, plain: AppendFrame(make([]byte, 0, FrameSize(len(data))), op, data)}
	p.data = p.plain[len(p.plain)-len(data):]
	return p
}

// Size returns about the memory that p takes, in bytes: of the frame, and of what it was compressed
// to so far.
func (p *Prepared) Size() int {
	n := int(unsafe.Sizeof(*p)) + cap(p.plain)
	for i := range p.variants {
		if v := p.variants[i].Load(); v != nil {
			n += int(unsafe.Sizeof(*v)) + cap(*v)
		}
	}
	return n
}

// Message returns the message, which must not be changed.
func (p *Prepared) Message() (op Opcode, data []byte) { return p.op, p.data }

// Prepared returns the frame of p, which must not be changed, compressed by the rules of Frame. If
// mayDrop is set, the caller need not send it; then it is not compressed where later messages would
// refer to it. The Sender must be a server's, and not between the pieces of a message.
func (s *Sender) Prepared(p *Prepared, mayDrop bool) []byte {
	if s.state&(masking|amid) != 0 {
		panic("wsproto: a prepared message is for a server, and cannot be a piece of another")
	}
	if !s.compresses(len(p.data)) || mayDrop && s.state&takeover != 0 {
		return p.plain
	}
	frame := p.compressed(s.config.Compressor, s.bits)
	if frame == nil {
		return p.plain
	}
	if s.window != nil {
		s.window.add(p.data)
	}
	return frame
}

// compressed returns the message as a compressed frame, nil if that is not smaller. The first
// caller with a size of window makes it, with its Compressor.
func (p *Prepared) compressed(c Compressor, bits uint8) []byte {
	if v := p.variants[bits].Load(); v != nil {
		return *v
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if v := p.variants[bits].Load(); v != nil {
		return *v
	}
	var frame []byte
	if out := c.Append(nil, p.data, nil, bits); len(out) < len(p.data) {
		h := Header{Fin: true, RSV: RSV1, Opcode: p.op, Length: uint64(len(out))}
		frame = append(AppendHeader(make([]byte, 0, MaxHeader+len(out)), h), out...)
	}
	p.variants[bits].Store(&frame)
	return frame
}
