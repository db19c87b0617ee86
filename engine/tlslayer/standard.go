package tlslayer

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/myriadnet/myriad/engine/internal/layer"
)

// standard is level 1: the record layer of crypto/tls, driven without blocking. It is right for
// every suite, and costs a tls.Conn with its buffers.
type standard struct {
	conn *tls.Conn
	wire *wire
	err  error // of Open
	over bool  // SealEnd was called
}

var _ layer.Stream = (*standard)(nil)

// Open implements layer.Stream. The tls.Conn has copied a record when it writes to b what was in
// it, which is shorter. It also keeps the beginning of a record, so that to is always end.
func (s *standard) Open(b []byte, plain int) (from, to, end int, err error) {
	to = plain
	s.wire.in = b[plain:]
	for s.err == nil && to < len(b) {
		n, err := s.conn.Read(b[to:])
		to += n
		if err == errNoBytes {
			break
		}
		s.err = err
	}
	s.wire.in = nil
	return 0, to, to, s.err
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

// ReadClosed implements layer.Stream.
func (s *standard) ReadClosed(int) error {
	s.wire.eof = true
	for s.err == nil {
		_, s.err = s.conn.Read(make([]byte, 1))
	}
	if s.err == io.EOF {
		return nil
	}
	return s.err
}

// Close implements layer.Stream.
func (s *standard) Close() { s.err, s.over = net.ErrClosed, true }

// wire is the net.Conn of a tls.Conn. It has no socket. During the handshake it waits for bytes,
// afterwards it returns errNoBytes.
type wire struct {
	handshake     *handshake // nil after the handshake
	in            []byte     // what Read returns
	out           []byte     // what was written
	eof           bool       // nothing comes behind in
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
	case w.eof:
		return 0, io.EOF
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
