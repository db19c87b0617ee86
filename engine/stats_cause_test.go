package engine_test

import (
	"fmt"
	"testing"

	"github.com/myriadnet/myriad/engine"
)

// ownCause is an error of a user's with a class of its own choice.
type ownCause engine.Cause

func (ownCause) Error() string         { return "mine" }
func (c ownCause) Cause() engine.Cause { return engine.Cause(c) }

// TestCauseOutOfRange: a method of a user's error value that returns no class must not end the
// process. Such an error counts as one without a class.
func TestCauseOutOfRange(t *testing.T) {
	for _, reason := range []error{
		ownCause(-1), ownCause(engine.Causes), ownCause(1 << 30), fmt.Errorf("wrapped: %w", ownCause(engine.Causes)),
	} {
		t.Run(fmt.Sprint(reason), func(t *testing.T) {
			ended := make(chan error, 1)
			s := serve(t, engine.Config{Loops: 1}, func(*engine.Conn) engine.Protocol {
				return &proto{
					feed:   func(b []byte) (int, error) { return len(b), reason },
					closed: func(err error) { ended <- err },
				}
			})
			c := s.dial(t)
			c.Write([]byte("x"))
			c.CloseWrite()
			if err := receive(t, "end", ended); err != reason {
				t.Errorf("Closed got %v", err)
			}
			stats, err := s.Stats(t.Context())
			if err != nil || stats.Closed[engine.CauseProtocol] != 1 {
				t.Errorf("%d connections count as %v, error %v", stats.Closed[engine.CauseProtocol],
					engine.CauseProtocol, err)
			}
		})
	}
}
