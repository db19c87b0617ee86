// Package wsproto is the WebSocket protocol (RFC 6455) without any I/O: bytes go in, events and bytes come out.
//
// Receiver is the state machine that receives; Append functions make what is sent; ParseRequest and its companions are
// the opening handshake. Nothing here blocks, starts goroutines or looks at the time, and nothing is safe for use by
// several goroutines at once unless it says so.
package wsproto

import "fmt"

// Opcode is the kind of a frame (RFC 6455 section 5.2).
type Opcode byte

// The opcodes that RFC 6455 defines; 3 to 7 and 11 to 15 are reserved.
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

// IsControl says whether frames of this kind may come between the fragments of a message.
func (o Opcode) IsControl() bool { return o&0x8 != 0 }

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

// Role is an end of the connection: the client masks what it sends, the server must not.
type Role uint8

const (
	Server Role = iota
	Client
)
