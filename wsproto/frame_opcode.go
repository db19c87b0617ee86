package wsproto

import "fmt"

// Opcode is the kind of a frame (RFC 6455 section 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines. 3 to 7 and 11 to 15 are reserved.
const (
	Continuation Opcode = 0x0
	Text         Opcode = 0x1
	Binary       Opcode = 0x2
	Close        Opcode = 0x8
	Ping         Opcode = 0x9
	Pong         Opcode = 0xA
)

// MaxControl is the largest payload of a control frame, in bytes (RFC 6455 section 5.5).
const MaxControl = 125

// IsControl reports whether frames of this kind may be sent between the fragments of a message.
func (o Opcode) IsControl() bool { return o&0x8 != 0 }

// String returns the name of the opcode.
func (o Opcode) String() string {
	switch o {
	case Continuation:
		return "continuation"
	case Text:
		return "text"
	case Binary:
		return "binary"
	case Close:
		return "close"
	case Ping:
		return "ping"
	case Pong:
		return "pong"
	}
	return fmt.Sprintf("reserved opcode %#x", byte(o))
}
