// Package layer is the seam between a connection's socket and its Protocol. Package tlslayer plugs
// TLS into it; package engine knows nothing of TLS.
package layer

// Stream is a layer's state of one connection. Its methods are called on the connection's loop.
//
// In both directions the engine keeps bytes in one run. What came is plaintext that the Protocol
// has not consumed, then a partial record. What goes out is records that the kernel has not taken,
// then plaintext.
type Stream interface {
	// Open opens the records in b[plain:], in place, and moves what they contain behind the first
	// plain bytes, which are opened already. Afterwards b[from:to] is plaintext, and b[to:end] is
	// the beginning of a record, to be passed again with more behind it; the rest of b is
	// undefined. from is 0 unless plain is 0.
	//
	// The plaintext before an error is valid. io.EOF means that the peer closes its half in order.
	// After an error Open returns the same error, and discards what it is given.
	Open(b []byte, plain int) (from, to, end int, err error)
	// Seal appends b to dst as records, behind what the layer itself has to say. It neither changes
	// nor keeps b. It does not allocate if dst has room for SealedLen(len(b)) more bytes.
	Seal(dst, b []byte) []byte
	// SealedLen returns the most bytes that Seal appends for n bytes.
	SealedLen(n int) int
	// Pending reports whether the layer has something to say: then Seal is due, with or without
	// bytes to send.
	Pending() bool
	// SealEnd appends the last record to dst, which says why nothing more comes: what was wrong
	// with the peer's bytes, or else the end. It appends nothing if the peer has reported an error,
	// or was cut off. After that Seal and SealEnd append nothing.
	SealEnd(dst []byte) []byte
	// ReadClosed returns what the peer's FIN means when rest bytes of a record have come: nil if
	// the peer has ended in order, or has not said so, and an error if it was cut off.
	ReadClosed(rest int) error
	// Close gives back what the Stream shares with others. Its keys are gone then.
	Close()
}
