// Package saved helps to save the state of a connection in one process and to load it in another,
// in an engine.Saver and an engine.Loader: it has a reader of such states, and the error of what
// cannot move.
//
// A state is bytes that are appended with package encoding/binary: single bytes, uvarints in their
// shortest form, and slices behind their length (AppendBytes). It should begin with a byte for its
// format. A state comes from a process of the same user, but one that is damaged, or of another
// version, must be refused all the same: see Reader.
package saved

import (
	"encoding/binary"
	"errors"
)

// Unmovable is the error of a connection that cannot move to another process. It is the cause, in a
// few words that do not vary, so that connections can be counted by it.
type Unmovable string

// Error returns the cause, behind "connection cannot move: ".
func (u Unmovable) Error() string { return "connection cannot move: " + string(u) }

// Unmovable returns the cause. The engine finds it by this method.
func (u Unmovable) Unmovable() string { return string(u) }

// ErrMalformed means that a state is not one that was saved, or is of another format.
var ErrMalformed = errors.New("malformed state of a connection")

// Reader reads a state. It is read to its end, and then Err is asked once: after what is missing or
// wrong the methods return zeros.
type Reader struct {
	rest   []byte
	failed bool
}

// NewReader returns a Reader of a state. Bytes and Take return parts of b.
func NewReader(b []byte) Reader { return Reader{rest: b} }

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if b := r.Take(1); len(b) > 0 {
		return b[0]
	}
	return 0
}

// Uvarint reads a number up to limit.
func (r *Reader) Uvarint(limit uint64) uint64 {
	if b := r.rest; len(b) > 0 && b[0] < 0x80 && uint64(b[0]) <= limit { // the usual case
		r.rest = b[1:]
		return uint64(b[0])
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 || n > 1 && r.rest[n-1] == 0 || v > limit { // not in its shortest form
		r.Fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// Bytes reads a slice of limit bytes at most, behind its length.
func (r *Reader) Bytes(limit int) []byte { return r.Take(int(r.Uvarint(uint64(max(limit, 0))))) }

// Take reads n bytes.
func (r *Reader) Take(n int) []byte {
	if uint(n) > uint(len(r.rest)) {
		r.Fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Check fails if ok is false.
func (r *Reader) Check(ok bool) {
	if !ok {
		r.Fail()
	}
}

// Fail makes the state malformed.
func (r *Reader) Fail() { r.rest, r.failed = nil, true }

// Rest returns what was not read.
func (r *Reader) Rest() []byte { return r.rest }

// Err returns ErrMalformed if something was missing or wrong. Bytes that were not read are not
// wrong: to refuse them, call Check with len(Rest()) == 0 before.
func (r *Reader) Err() error {
	if r.failed {
		return ErrMalformed
	}
	return nil
}

// AppendBytes appends b with its length in front.
func AppendBytes[T []byte | string](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}
