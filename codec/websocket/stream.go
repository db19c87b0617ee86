package websocket

import (
	"bytes"
	"context"
	"io"
	"sync"
	"unicode/utf8"

	"github.com/myriadnet/myriad/engine"
)

// Stream is a connection as a stream of bytes, for goroutines: io.Copy can join it with a terminal,
// a process or another connection. It holds 64 KiB and one message at most: while
// nobody reads, the peer is not read from, and Write waits for a peer that does not keep up.
//
// One goroutine may read while another one writes. Close may be called by any goroutine.
type Stream struct {
	op     Opcode
	handle Handle
	ctx    context.Context // of Write
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	more    sync.Cond    // in has something, or err is set
	in      bytes.Buffer // received and not read
	paused  bool         // the peer is not read from
	counted int          // the memory of in, as the loop has counted it
	err     error        // of Read, when in is empty
}

const (
	streamBuffer = 64 << 10 // bytes received and not read, above which the peer is not read from
	streamPiece  = 64 << 10 // the largest message that Write sends
)

// Stream turns the connection into a Stream, from Open on or later: messages go there instead of to
// Message and Piece. Their boundaries and opcodes are lost. Each Write is sent as a message with
// opcode op, a long one as several. With Text each Write must have whole characters: bytes that are
// cut anywhere are for Binary. The other callbacks are called as before, and a Rate limits the peer
// as before, but makes it wait where it would drop messages: a stream has no gaps.
//
// Stream must be called once at most, on the loop, and its methods by other goroutines.
func (c *Conn) Stream(op Opcode) *Stream {
	if err := checkOpcode(op); err != nil {
		panic(err)
	}
	if c.flags&isOpen == 0 || c.service.stream != nil {
		panic("websocket: Stream before Open, or twice")
	}
	s := &Stream{op: op, handle: c.Handle()}
	s.more.L = &s.mu
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	v := *c.service // a connection with goroutines may well have a service of its own
	v.stream = s
	v.message = func(c *Conn, _ Opcode, data []byte) { s.receive(c, data) }
	if v.piece != nil {
		v.piece = func(c *Conn, _ Opcode, data []byte, _ bool) { s.receive(c, data) }
	}
	if v.rate != nil {
		limits := *v.rate
		if limits.Excess == DropExcess {
			limits.Excess = PauseExcess
		}
		v.limited(&limits)
	}
	users := v.close
	v.close = func(c *Conn, err error) {
		if users != nil {
			defer users(c, err)
		}
		s.end(err)
	}
	c.service = &v
	return s
}

// receive takes what has arrived, on the loop.
func (s *Stream) receive(c *Conn, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return
	}
	s.in.Write(data)
	s.count(c)
	if !s.paused && s.in.Len() >= streamBuffer {
		s.paused = true
		c.conn.PauseRead()
	}
	s.more.Signal()
}

// count counts the memory of what waits to be read, on the loop.
func (s *Stream) count(c *Conn) {
	c.conn.AddHeld(s.in.Cap() - s.counted)
	s.counted = s.in.Cap()
}

// end is the end of the connection.
func (s *Stream) end(reason error) {
	err := reason
	defer func() { // also if a method of reason panics
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.err == nil {
			s.err = err
		}
		s.cancel(engine.ErrClosed)
		s.more.Broadcast()
	}()
	switch CloseStatus(reason) {
	case NormalClosure, GoingAway, 0:
		err = io.EOF
	}
}

// Read reads what the peer has sent. The error is io.EOF when the peer has closed the connection
// with code 1000 or 1001, engine.ErrClosed after Close, or else the error that the callback Close
// gets.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.in.Len() == 0 && s.err == nil {
		if len(p) == 0 {
			return 0, nil
		}
		s.more.Wait()
	}
	if s.in.Len() == 0 {
		return 0, s.err
	}
	n, _ := s.in.Read(p)
	large := s.in.Len() == 0 && s.in.Cap() > streamBuffer
	if large {
		s.in = bytes.Buffer{}
	}
	if s.paused && s.in.Len() < streamBuffer/2 {
		s.resume()
	} else if large { // nothing may come for a long time
		s.handle.Post(func(c *Conn) {
			s.mu.Lock()
			s.count(c)
			s.mu.Unlock()
		})
	}
	return n, nil
}

// resume makes the peer be read from again.
func (s *Stream) resume() {
	s.paused = false
	s.handle.Post(func(c *Conn) { // an error means that it is closed
		s.mu.Lock()
		s.count(c)
		paused := s.paused // once more, when the end of a pause for a Rate has come before
		s.mu.Unlock()
		c.takeBack()
		if !paused && (c.rare == nil || !c.rare.excess) { // else endExcess does it
			c.conn.ResumeRead()
		}
	})
}

// isPaused reports whether the peer is not read from because nobody reads.
func (s *Stream) isPaused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// Write sends p. It waits while the peer does not keep up: see Handle.SendWait.
func (s *Stream) Write(p []byte) (n int, err error) {
	for {
		piece := p[n:]
		if len(piece) > streamPiece {
			piece = piece[:streamPiece]
			for range utf8.UTFMax - 1 { // more in a row is not UTF-8
				if s.op == Text && !utf8.RuneStart(p[n+len(piece)]) {
					piece = piece[:len(piece)-1]
				}
			}
		}
		if err := s.handle.SendWait(s.ctx, s.op, piece); err != nil {
			return n, err
		}
		if n += len(piece); n == len(p) {
			return n, nil
		}
	}
}

// Close closes the connection with code 1000, behind what was written. What was received and not
// read is dropped.
func (s *Stream) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil
	}
	s.err = engine.ErrClosed
	s.in = bytes.Buffer{}
	s.cancel(engine.ErrClosed)
	s.more.Broadcast()
	s.handle.Close(NormalClosure, "")
	s.resume() // or the peer's part of the closing handshake would not be seen
	return nil
}
