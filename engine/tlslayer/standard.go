package tlslayer

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// standard is level 1: the record layer of crypto/tls, driven without blocking. It is right for
// every suite, and costs a tls.Conn with its buffers.
type standard struct {
	conn    *tls.Conn
	wire    *wire
	version uint16 // of the protocol
	err     error  // of Open
	over    bool   // SealEnd was called
	more    bool   // the last Open has stopped because of its work
	work    int    // of the last Open
	quiet   int    // bytes behind the last data, at most
	state   int    // bytes of the tls.Conn's state: see certs.Held
}

var _ layer.Saver = (*standard)(nil)

// standardBatch is how many records a tls.Conn gets before its work is counted.
const standardBatch = 16

// maxAnswers is how many bytes of answers to KeyUpdates may wait for a peer that does not read. An
// honest one asks once in a million records.
const maxAnswers = 4 << 10

var errTooManyAnswers = errors.New("tlslayer: too many answers to KeyUpdates wait for the peer")

// Open implements layer.Stream. The tls.Conn gets whole records, a few at a time.
func (s *standard) Open(b []byte, plain int) (from, to, end int, err error) {
	s.work, s.more = 0, false
	if s.err != nil {
		return 0, plain, plain, s.err
	}
	to = plain
	next := plain
	for s.err == nil {
		batch, n := next, 0
		for ; n < standardBatch; n++ {
			size := s.recordIn(b[next:])
			if size == 0 {
				break
			}
			next += size
		}
		if n == 0 {
			break
		}
		if s.work >= maxWork {
			s.more, next = true, batch
			break
		}
		s.wire.in = b[batch:next]
		s.work += n * recordWork
		n -= s.read(b[:next], &to)
		s.wire.in = nil
		if s.version == tls.VersionTLS13 {
			s.work += n * updateWork // nobody can tell what else they were
		}
		if len(s.wire.out) > maxAnswers && s.err == nil {
			s.err = errTooManyAnswers
		}
	}
	if s.err != nil {
		return 0, to, to, s.err
	}
	return 0, to, to + copy(b[to:], b[next:]), nil
}

// read reads what is in wire.in to b[*to:], and returns how many records had data. The tls.Conn has
// copied a record when it writes to b what was in it, which is shorter.
func (s *standard) read(b []byte, to *int) (records int) {
	s.quiet += len(s.wire.in)
	for *to < len(b) {
		n, err := s.conn.Read(b[*to:])
		if *to += n; n > 0 {
			records++
			s.quiet = len(s.wire.in)
		}
		if err != nil {
			if err != errNoBytes {
				s.err = err
			}
			break
		}
	}
	return records
}

// Work implements layer.Stream.
func (s *standard) Work() (n int, more bool) { return s.work, s.more }

// Held implements layer.Stream. A tls.Conn does not tell what it keeps of a handshake message. It
// is no more than what came behind the last data. The state of the connection stays.
func (s *standard) Held() int { return min(s.quiet, maxHandshake+maxRecord12) + s.state }

// recordIn returns the length of the record that b begins with, 0 if it is not whole. If its header
// is wrong, that is enough for the tls.Conn.
func (s *standard) recordIn(b []byte) int {
	if len(b) < headerLen {
		return 0
	}
	version, limit := s.version, maxRecord12
	if version == tls.VersionTLS13 {
		version, limit = version12, maxRecord13
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	if binary.BigEndian.Uint16(b[1:]) != version || n > limit {
		return headerLen
	}
	return recordIn(b)
}

// Seal implements layer.Stream.
func (s *standard) Seal(dst, b []byte) []byte {
	dst = s.wire.take(dst)
	if len(b) == 0 || s.over {
		return dst
	}
	s.wire.out = dst
	s.conn.Write(b) // fails only after an error of Open
	dst, s.wire.out = s.wire.out, nil
	return dst
}

// SealedLen implements layer.Stream. The records of a young tls.Conn are short, to fit in a packet,
// and those of old suites have more overhead than AEADs.
func (s *standard) SealedLen(n int) int { return len(s.wire.out) + n + (n/1024+3)*128 }

// Pending implements layer.Stream.
func (s *standard) Pending() bool { return len(s.wire.out) > 0 }

// SealEnd implements layer.Stream. After an error of Open the tls.Conn has sent the alert already.
func (s *standard) SealEnd(dst []byte) []byte {
	if !s.over && (s.err == nil || s.err == io.EOF) {
		s.conn.CloseWrite() // an error means that nothing can be sent
	}
	s.over = true
	return s.wire.take(dst)
}

// State implements layer.Stream.
func (s *standard) State() any {
	c := s.conn.ConnectionState()
	return &c
}

// String implements layer.Stream.
func (s *standard) String() string {
	return describe(s.version, s.conn.ConnectionState().CipherSuite) + ", by crypto/tls"
}

// Detach implements layer.Stream.
func (s *standard) Detach() {}

// Attach implements layer.Stream.
func (s *standard) Attach(*any) {}

// ReadClosed implements layer.Stream.
func (s *standard) ReadClosed(rest int) error {
	if s.err == nil && rest > 0 {
		s.err = io.ErrUnexpectedEOF
	}
	return endOf(s.err)
}

// endOf returns what ReadClosed returns after an error of Open.
func endOf(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// Close implements layer.Stream.
func (s *standard) Close() { s.err, s.over, s.quiet, s.state = net.ErrClosed, true, 0, 0 }

// wire is the net.Conn of a tls.Conn. It has no socket. During the handshake it waits for bytes,
// afterwards it returns errNoBytes.
type wire struct {
	handshake     *handshake // nil after the handshake
	in            []byte     // what Read returns
	out           []byte     // what was written
	local, remote net.Addr
}

// noBytes is a temporary error: a tls.Conn can go on after it.
type noBytes struct{}

func (noBytes) Error() string   { return "tlslayer: no bytes" }
func (noBytes) Timeout() bool   { return true }
func (noBytes) Temporary() bool { return true }

var errNoBytes error = noBytes{}

// Read implements net.Conn.
func (w *wire) Read(b []byte) (n int, err error) {
	switch {
	case w.handshake != nil:
		return w.handshake.read(b)
	case len(w.in) > 0:
		n = copy(b, w.in)
		w.in = w.in[n:]
		return n, nil
	}
	return 0, errNoBytes
}

// Write implements net.Conn.
func (w *wire) Write(b []byte) (int, error) {
	if w.handshake != nil {
		return w.handshake.write(b)
	}
	w.out = append(w.out, b...)
	return len(b), nil
}

// take moves what was written to the end of dst.
func (w *wire) take(dst []byte) []byte {
	dst = append(dst, w.out...)
	w.out = nil
	return dst
}

// Close implements net.Conn. crypto/tls calls it when the handshake takes too long.
func (w *wire) Close() error {
	if w.handshake != nil {
		w.handshake.cancel(net.ErrClosed)
	}
	return nil
}

func (w *wire) LocalAddr() net.Addr              { return w.local }
func (w *wire) RemoteAddr() net.Addr             { return w.remote }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }
