package engine_test

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/myriadnet/myriad/engine"
	"github.com/myriadnet/myriad/engine/internal/driver/sim"
)

// TestFINWaitsForWhatIsNotFed: a driver that reads ahead, as io_uring would, tells of the peer's
// FIN while a Feed that has used up its share of the turn, or that has paused, is owed the rest.
// That was lost.
func TestFINWaitsForWhatIsNotFed(t *testing.T) {
	for _, pause := range []bool{false, true} {
		fed := 0
		var reason error
		var conn *engine.Conn
		s := onSim(t, sim.Config{Seed: 1, Completion: true}, engine.Config{Loops: 1, TurnMessages: 1},
			func(c *engine.Conn) engine.Protocol {
				conn = c
				return &proto{
					feed: func(b []byte) (int, error) {
						if fed++; pause {
							c.PauseRead()
						}
						c.Yield()
						return 1, nil
					},
					closed: func(err error) { reason = err },
				}
			})
		p := s.net.Dial(s.ln.Addr())
		p.Send([]byte("0123456789"))
		p.CloseWrite()
		if pause {
			for i := range 10 {
				for range 5 {
					s.Step()
				}
				if want := i + 1; fed != want || reason != nil {
					t.Fatalf("fed %d times, want %d: %v", fed, want, reason)
				}
				s.InTurn(0, conn.ResumeRead)
			}
		}
		s.until(t, time.Second, func() bool { return reason != nil })
		if fed != 10 || !errors.Is(reason, engine.ErrPeerClosed) {
			t.Errorf("pause %v: %d of 10 messages were fed, then: %v", pause, fed, reason)
		}
	}
}

// TestFINThatIsReportedAgainIsToldOnce: a Poller that reads ahead may have collected it twice,
// before the first one has ended the loop's interest.
func TestFINThatIsReportedAgainIsToldOnce(t *testing.T) {
	told := 0
	var conn *engine.Conn
	s := onSim(t, sim.Config{Seed: 1}, engine.Config{Loops: 1}, func(c *engine.Conn) engine.Protocol {
		conn = c
		return &halfOpen{proto: proto{feed: func(b []byte) (int, error) { return len(b), nil }}, told: &told}
	})
	p := s.net.Dial(s.ln.Addr())
	p.CloseWrite()
	s.until(t, time.Second, func() bool { return told > 0 })
	engine.ReportFIN(conn)
	if told != 1 {
		t.Errorf("ReadClosed was called %d times", told)
	}
	s.InTurn(0, conn.Close)
}

// halfOpen is a proto that counts calls of ReadClosed.
type halfOpen struct {
	proto
	told *int
}

func (h *halfOpen) ReadClosed() { *h.told++ }

// TestProtocolSetAfterTheFINHearsOfIt: one that was set when the old one had been told, in
// ReadClosed or later, was never told. Without an idle timeout its connection stayed for ever.
func TestProtocolSetAfterTheFINHearsOfIt(t *testing.T) {
	for _, c := range []struct {
		name  string
		later bool // it is set in a posted function
		half  bool // the new Protocol has ReadClosed
		rest  string
	}{
		{name: "in ReadClosed"},
		{name: "in ReadClosed, with ReadClosed", half: true},
		{name: "later", later: true},
		{name: "later, with ReadClosed", later: true, half: true},
		{name: "with a rest", rest: "rest"},
		{name: "with a rest, with ReadClosed", half: true, rest: "rest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			told, reasons := make(chan string, 2), make(chan error, 1)
			s := serve(t, engine.Config{Loops: 1}, func(conn *engine.Conn) engine.Protocol {
				fed := ""
				next := proto{
					feed:   func(b []byte) (int, error) { fed += string(b); return len(b), nil },
					closed: func(err error) { reasons <- err },
				}
				swap := func() {
					if c.half {
						conn.SetProtocol(&onFIN{next, func() { told <- fed; conn.CloseWith(engine.ErrPeerClosed) }})
						return
					}
					conn.SetProtocol(&next)
				}
				return &onFIN{proto{feed: func([]byte) (int, error) { return 0, nil }}, func() {
					if c.later {
						conn.Handle().Post(func(*engine.Conn) { swap() })
						return
					}
					swap()
				}}
			})
			p := s.dial(t)
			io.WriteString(p, c.rest)
			p.CloseWrite()
			if err := receive(t, "end", reasons); err != engine.ErrPeerClosed {
				t.Error(err)
			}
			if c.half {
				if fed := receive(t, "ReadClosed", told); fed != c.rest || len(told) > 0 {
					t.Errorf("fed %q before ReadClosed, which was called %d more times", fed, len(told))
				}
			}
		})
	}
}

// onFIN is a proto with ReadClosed.
type onFIN struct {
	proto
	fin func()
}

func (p *onFIN) ReadClosed() { p.fin() }
