package websocket

import (
	"github.com/myriadnet/myriad/wsproto"
)

// kind tells what bytes given to engine.Handle.PostBytes are: the low byte is an opcode, the high
// half the code of a Close frame.
type kind uint32

func kindOf(op Opcode) kind           { return kind(op) }
func kindOfClose(code CloseCode) kind { return kind(wsproto.Close) | kind(code)<<16 }

func (k kind) opcode() Opcode       { return Opcode(k) }
func (k kind) closeCode() CloseCode { return CloseCode(k >> 16) }
