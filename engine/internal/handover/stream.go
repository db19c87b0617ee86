package handover

import (
	"errors"
	"io"
	"time"
)

// stream is what both sides have: one end of the transport, and what is on its way.
type stream struct {
	t       Transport
	in      decoder
	out     outbox
	buf     []byte
	fds     []int
	moved   time.Time // the last progress of the other end
	stuck   time.Time // since when what is to be sent waits
	busy    bool      // it owed something at the last step
	blocked error     // of the last send
}

// plan says how the goroutine of Run goes on.
type plan struct {
	over     bool
	write    bool      // wait until something can be sent
	soon     bool      // try to send in a moment
	deadline time.Time // zero: none
}

const (
	receiveSize = 64 << 10
	maxReceives = 64 // in one step
	retryAfter  = 5 * time.Millisecond
)

// receive hands the frames that have arrived to handle, until nothing is there. handle owns the
// frame's descriptors, also after an error.
func (s *stream) receive(now time.Time, handle func(frame) error) error {
	for range maxReceives {
		if err := s.receiveOnce(now, handle); err != nil {
			if errors.Is(err, ErrWouldBlock) {
				return nil
			}
			return err
		}
	}
	return nil
}

func (s *stream) receiveOnce(now time.Time, handle func(frame) error) error {
	if s.buf == nil {
		s.buf = make([]byte, receiveSize)
	}
	n, fds, err := s.t.Receive(s.buf, s.fds[:0])
	if err != nil {
		if errors.Is(err, io.EOF) {
			return ErrClosed
		}
		return err
	}
	s.fds = fds
	s.in.fds = append(s.in.fds, fds...)
	s.moved = now
	for p := s.buf[:n]; len(p) > 0; {
		var f frame
		var ok bool
		if f, p, ok, err = s.in.next(p); err != nil {
			return err
		}
		if !ok {
			break
		}
		if err := handle(f); err != nil {
			return err
		}
	}
	return s.in.settled()
}

// send sends what waits.
func (s *stream) send(now time.Time) (int, error) {
	n, err := s.out.send(s.t)
	if n > 0 {
		s.moved = now
	}
	if n > 0 || s.out.empty() {
		s.stuck = now
	}
	s.blocked = err
	if errors.Is(err, ErrWouldBlock) || errors.Is(err, ErrTooManyRefs) {
		return n, nil
	}
	return n, err
}

// owed notes whether the other end owes something. Its time begins when it does.
func (s *stream) owed(now time.Time, owed bool) {
	if owed && !s.busy {
		s.moved = now
	}
	s.busy = owed
}

// plan returns when to go on, if the other end's time ends at deadline.
func (s *stream) plan(now, deadline time.Time) plan {
	p := plan{deadline: deadline, write: errors.Is(s.blocked, ErrWouldBlock)}
	if errors.Is(s.blocked, ErrTooManyRefs) {
		p.soon = true
		p.deadline = earlier(deadline, now.Add(retryAfter))
	}
	return p
}

// earlier returns the earlier one. Zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// close drops what is incomplete, and closes this end.
func (s *stream) close() {
	s.in.drop(s.t)
	s.out.drop()
	clear(s.buf)
	s.t.Close()
}
