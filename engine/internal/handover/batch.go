package handover

import "math/bits"

// MaxState is how many bytes the states of a batch can have together.
const MaxState = 64 << 20

// Set is a set of a batch's items, by their index. The zero value is empty.
type Set [(MaxDescriptors + 63) / 64]uint64

// Has reports whether the item i is in s.
func (s *Set) Has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// Add puts the item i into s.
func (s *Set) Add(i int) { s[i/64] |= 1 << (i % 64) }

// Len returns how many items are in s.
func (s *Set) Len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// Item is a connection.
type Item struct {
	FD    int
	State []byte // opaque
}

// Batch is what one loop gives at a time: 1 to MaxDescriptors connections. The giver's loop freezes
// them, posts the batch, and leaves all of it alone until GiverConfig.Settled.
type Batch struct {
	Stream uint32 // for the taker: batches of the same stream arrive in the order of Post
	Items  []Item
	Data   any // the caller's, not sent

	// Taken has the items that the taker owns, when Settled is called. Close their descriptors
	// without shutdown(2). The others are still the giver's.
	Taken Set

	// Err is why items are given back, when Settled is called. If it is nil, the taker refused
	// those that are not in Taken.
	Err error

	id   uint32
	size int  // of the states
	sent bool // as a whole
}

// Incoming is a batch that has arrived. Its descriptors are the package's until TakerConfig.Own.
// Its states are valid, and may be changed, until Drop returns, or else until Release is called.
type Incoming struct {
	Stream uint32
	Items  []Item
	Data   any // the caller's

	taker   *Taker
	id      uint32
	payload []byte
	refused Set
}

// Listener is a listening socket, or several of one address, such as one for each loop.
type Listener struct {
	Network string // "tcp", "unix", "udp" and so on: at most 255 bytes
	Address string // at most 255 bytes
	Meta    []byte // opaque, at most MaxMeta bytes
	FDs     []int
}

// MaxMeta is how many bytes Listener.Meta can have.
const MaxMeta = 64 << 10

// MaxSecrets is how many bytes GiverConfig.Secrets can have.
const MaxSecrets = 64 << 10
