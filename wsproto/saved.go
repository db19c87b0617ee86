package wsproto

import (
	"encoding/binary"
	"errors"
)

// unmovable is the error of what cannot be saved, or cannot go on where it is loaded. Its text does
// not vary, so that a caller can count by it.
type unmovable string

func (u unmovable) Error() string { return "websocket: connection cannot move: " + string(u) }

// Unmovable returns the cause. Callers find it by this method.
func (u unmovable) Unmovable() string { return string(u) }

var errMalformed = errors.New("websocket: malformed state of a connection")

// stateReader reads what was saved: bytes, uvarints in their shortest form, and slices behind their
// length. After what is missing or wrong its methods return zeros, so err is asked once, at the
// end.
type stateReader struct {
	rest   []byte
	failed bool
}

func (r *stateReader) byte() byte {
	if b := r.take(1); len(b) > 0 {
		return b[0]
	}
	return 0
}

// uvarint reads a number up to limit.
func (r *stateReader) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	r.check(n > 0 && (n == 1 || r.rest[n-1] != 0) && v <= limit)
	if r.failed {
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// bytes reads a slice of limit bytes at most, which is a part of the state.
func (r *stateReader) bytes(limit int) []byte { return r.take(r.uvarint(uint64(limit))) }

func (r *stateReader) take(n uint64) []byte {
	if r.check(n <= uint64(len(r.rest))); r.failed {
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *stateReader) check(ok bool) {
	if !ok {
		r.rest, r.failed = nil, true
	}
}

func (r *stateReader) err() error {
	if r.failed {
		return errMalformed
	}
	return nil
}

// appendBytes appends b behind its length.
func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}
