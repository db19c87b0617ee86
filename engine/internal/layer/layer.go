// Package layer is the seam between a connection's socket and its Protocol. Package tlslayer plugs
// TLS into it; package engine knows nothing of TLS.
package layer

import (
	"net"
	"time"
)

// Layer begins handshakes, for the connections of a Listener or of Dial. Its methods may be called
// from any goroutine.
type Layer interface {
	// Begin begins a handshake. notify is called, by any goroutine, when there is Output, and when
	// the handshake is done; it must not block.
	Begin(local, remote net.Addr, notify func()) Handshake
	// Timeout is how long a handshake may take.
	Timeout() time.Duration
}

// Handshake is fed bytes of the peer, and gives bytes for it. Its methods are called on the
// connection's loop. They do not block.
type Handshake interface {
	// Feed takes the first n bytes of b; the others are to be fed again after notify. The error is
	// that of the handshake, which has failed then. There may be Output all the same.
	Feed(b []byte) (n int, err error)
	// ReadClosed tells that the peer's FIN has come. It reports whether the peer has left before
	// the handshake could begin: then there is no outcome that notify tells of.
	ReadClosed() (left bool)
	// Output appends to dst what is to be sent.
	Output(dst []byte) []byte
	// Done reports whether the handshake is done, and why it has failed.
	Done() (bool, error)
	// Stream returns the result of a handshake that has succeeded, once, and what was fed behind
	// it. shared belongs to the loop: the layer keeps there what the loop's Streams have in common.
	Stream(shared *any) (s Stream, rest []byte)
	// Cancel ends the handshake, because its connection is closed. Nothing else is called then.
	Cancel(reason error)
}

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
	// Work returns what the last Open has cost besides opening bytes, as the number of bytes that
	// cost as much. If that is a lot, Open stops: then more is true, b[to:end] begins with a whole
	// record, and Open is due again when others have had their turn.
	Work() (n int, more bool)
	// Held returns how many bytes the layer keeps of messages of its own that are not whole, and of
	// what the peer has sent in the handshake beyond what is usual. Only Open and Close change it.
	Held() int
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
	// NetConn makes a net.Conn of a socket that is released from its loop. in was received and not
	// opened: the beginning of a record, or whole ones if nothing was opened yet. out are records
	// that must be sent first. It owns both, and the Stream.
	NetConn(nc net.Conn, in, out []byte) Released
	// State returns what the layer tells about the connection.
	State() any
	// String describes the layer in a few words, for people.
	String() string
	// Detach takes the Stream off its loop, which another one will Attach.
	Detach()
	// Attach makes the Stream one of a loop's again, after a Released has returned it, or after
	// Detach. shared is that of Handshake.Stream.
	Attach(shared *any)
	// Close gives back what the Stream shares with others. Its keys are gone then.
	Close()
}

// Released is a connection that Stream.NetConn has made.
type Released interface {
	net.Conn
	// NetConn returns the socket, as that of a tls.Conn does.
	NetConn() net.Conn
	// Return calls adopt with what a loop needs to go on: Stream.Attach is next. If adopt returns
	// nil, r is closed, but for its socket. Otherwise r is unchanged, and the error is that of
	// adopt, or says why r cannot go on: a Read or Write in progress is such a reason, and is not
	// waited for. adopt must not keep in and out.
	Return(adopt func(Kept) error) error
}

// Kept is what a Released has of its connection. Its bytes are those of a loop, in one run per
// direction.
type Kept struct {
	Stream Stream
	In     []byte // Plain bytes of plaintext, then what was not opened
	Plain  int
	Out    []byte // records that must be sent first
}

// Saver is a Stream that can move to another process.
type Saver interface {
	Stream
	// Save appends the state to dst, for Loader.Load, and does not change the Stream. It has keys:
	// wipe it when it is sent. If dst is too short, its array is wiped when the content moves. The
	// error is a saved.Unmovable, with dst as it was. After Save the Stream may go on if it stays,
	// or must be closed without another call: never both, or nonces would be used twice.
	Save(dst []byte) ([]byte, error)
}

// Loader is a Layer whose Streams are Savers.
type Loader interface {
	Layer
	// Load makes the Stream that was saved as state one of a loop's: see Handshake.Stream for
	// shared. It is called on the loop. It keeps nothing of state, which has keys: wipe it. The
	// error is a saved.Unmovable, or that state is malformed.
	Load(state []byte, shared *any) (Stream, error)
	// SaveKeys appends what the connections of the Layer have in common, for LoadKeys of the same
	// Layer in another process: the keys of session tickets. Wipe it when it is sent; dst is wiped
	// as that of Saver.Save. Any goroutine may call it.
	SaveKeys(dst []byte) []byte
	// LoadKeys adds the keys that were saved. It is called before the first handshake, or at any
	// later time, by any goroutine.
	LoadKeys(keys []byte) error
}
