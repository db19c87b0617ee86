package websocket

import (
	"errors"
	"io"
	"runtime/debug"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/wsproto"
)

// SendFrom sends a message of unknown length: what r gives until io.EOF, in frames of 32 KiB. It
// reads r on a goroutine of its own, which may block, and no faster than the peer takes the
// message. Other messages that are sent meanwhile go out behind this one.
//
// done is called once, on the loop, when all is sent, or with the error. Then r is not read any
// more, except by a Read that has begun. If r fails, the message cannot be taken back, so the
// connection is closed with code 1011. That is also so if Read panics: then the error, and the
// reason of the connection's end, is a *engine.PanicError. A Read that ends its goroutine
// (runtime.Goexit) has failed as well. If SendFrom itself returns an error, ErrSending,
// engine.ErrClosed or that an argument is nil, done is not called.
func (c *Conn) SendFrom(op Opcode, r io.Reader, done func(error)) error {
	if err := checkOpcode(op); err != nil {
		return err
	}
	switch {
	case c.flags&(isOpen|closeSent) != isOpen:
		return engine.ErrClosed
	case c.isSending():
		return ErrSending
	case r == nil || done == nil:
		return errors.New("websocket: SendFrom: r or done is nil")
	}
	s := &source{op: op, r: r, done: done, more: make(chan struct{}, 1)}
	c.begin(&outgoing{source: s})
	go s.read(c.Handle())
	return nil
}

// source is a message that SendFrom sends.
type source struct {
	op   Opcode
	r    io.Reader
	done func(error)
	more chan struct{} // another piece is wanted; closed: no more is

	waits bool // for Drained
	ended bool
}

const sourcePiece = 32 << 10

// read runs on a goroutine of its own.
func (s *source) read(h Handle) {
	returns := false
	defer func() {
		if !returns {
			h.Post(func(c *Conn) { s.got(c, nil, errReadExits) }) // an error: see below
		}
	}()
	s.readAll(h)
	returns = true
}

func (s *source) readAll(h Handle) {
	b := make([]byte, sourcePiece)
	for {
		n, err := s.fill(b)
		if h.Post(func(c *Conn) { s.got(c, b[:n], err) }) != nil {
			return // Closed has called end
		}
		if _, ok := <-s.more; !ok {
			return
		}
	}
}

// errReadExits is the error of a Read that calls runtime.Goexit, or panic(nil) with
// GODEBUG=panicnil=1.
var errReadExits = errors.New("websocket: SendFrom: Read has not returned")

var errReadCount = errors.New("websocket: SendFrom: Read has returned an invalid count")

// fill reads a whole piece: many small frames could exceed the peer's limit. A Read that panics has
// failed. It is not io.ReadFull, after which an io.ErrUnexpectedEOF of r, that of a download that
// was cut, looks like the end.
func (s *source) fill(b []byte) (n int, err error) {
	err = errReadExits
	defer func() {
		if v := recover(); v != nil {
			err = &engine.PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	for n < len(b) {
		k, err := s.r.Read(b[n:])
		if k < 0 || k > len(b)-n {
			return n, errReadCount
		}
		if n += k; err != nil {
			return n, err
		}
	}
	return n, nil
}

// got sends a piece, on the loop.
func (s *source) got(c *Conn, b []byte, err error) {
	switch {
	case s.ended:
		return
	case err != nil && err != io.EOF:
		s.end(err)
		c.Close(wsproto.InternalError, "")
		if p := (*engine.PanicError)(nil); errors.As(err, &p) {
			panic(p) // which is logged and counted, as if it had been here
		}
		return
	case len(b) > 0 || err != nil:
		if werr := c.piece(s.op, b, err == io.EOF); werr != nil || err != nil {
			s.end(werr)
			return
		}
	}
	if s.waits = c.conn.Pressure() == engine.OverHighWater; !s.waits {
		s.more <- struct{}{}
	}
}

// drained goes on when the peer has caught up.
func (s *source) drained() {
	if s.waits {
		s.waits = false
		s.more <- struct{}{}
	}
}

// end ends it, for whatever reason.
func (s *source) end(err error) {
	if !s.ended {
		s.ended = true
		close(s.more)
		s.done(err)
	}
}
