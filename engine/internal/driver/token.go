package driver

// Token names a registration: the slot of the connection table in the low 32 bits, its generation
// in the high 32.
//
//	63            32 31             0
//	+---------------+---------------+
//	|  generation   |     slot      |
//	+---------------+---------------+
//
// A generation is never 0, and a slot does not get the same one again within 2^32 connections. The
// slot of a listener has ListenerBit set, that of a datagram socket DatagramBit, that of a
// connection neither.
type Token uint64

const (
	ListenerBit uint32 = 1 << 31 // in the slot of a listener
	DatagramBit uint32 = 1 << 30 // in the slot of a datagram socket
)

// MakeToken packs slot and generation.
func MakeToken(slot, generation uint32) Token { return Token(generation)<<32 | Token(slot) }

// Slot returns the token's index in the connection table.
func (t Token) Slot() uint32 { return uint32(t) }

// Generation returns the number that tells apart the connections that had the same slot.
func (t Token) Generation() uint32 { return uint32(t >> 32) }
