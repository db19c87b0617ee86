package engine_test

import (
	"errors"

	"github.com/myriadnet/myriad/engine"
)

// armed is an error whose methods panic, as that of a nil pointer may, until Closed disarms it.
type armed struct {
	s   *speaker
	off bool
}

func (e *armed) Error() string { return "Feed has enough" }

func (e *armed) Unwrap() error {
	if !e.off {
		e.s.w.boom(e.s.rng)
	}
	return nil
}

// enough is an error of Feed.
func (s *speaker) enough() error {
	switch s.rng.IntN(4) {
	case 0, 1:
		return &armed{s: s}
	case 2:
		return ownCause(engine.Causes) // there is no such cause
	}
	return errors.New("Feed has enough")
}

// disarm lets the test look at the reason of a connection.
func disarm(reason error) {
	if u, ok := reason.(*engine.UnsentError); ok {
		reason = u.Reason
	}
	if e, ok := reason.(*armed); ok {
		e.off = true
	}
}
